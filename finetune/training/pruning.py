"""Make a model smaller before it is trained: a vocabulary of what the texts need, and fewer layers.

    texts ─▶ tokens that occur ─▶ with all that their merges need ─▶ tokenizer, and the same rows of the embedding

Kept are the bytes (all tokens that no merge makes), the added tokens, the tokens that occur often enough in the texts,
and what these are merged from. Byte-level BPE then still encodes every text without loss. A text whose tokens are all
kept is encoded as before, up to the numbers: at every step the pair that was merged before is still there, and among
fewer pairs it is still the first.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from finetune.data.jobs import sha256
from finetune.training.encode import read_rows, whole_text
from finetune.training.tokenizer import load_tokenizer
from finetune.training.weights import find_start
from mumath_agent.dialects import get_text_dialect
from mumath_agent.errors import InputError
from mumath_agent.problems import read_text
from mumath_agent.runs.jsonl import replace_file

MANIFEST = "pruning.json"
_EMBEDDINGS = ("model.embed_tokens.weight", "lm_head.weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReport:
    """What became of a text: its tokens before and after."""

    name: str
    sha256: str
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was kept of a model, and what was left out."""

    tokens_kept: int
    tokens_dropped: int
    layers_kept: int
    layers_dropped: tuple[int, ...]
    """Their numbers, counted from 0."""
    bytes_before: int
    """Of the weights, four for each."""
    bytes_after: int
    texts: tuple[TextReport, ...]

    @property
    def summary(self) -> str:
        """The result in one line."""
        tokens, layers = self.tokens_kept + self.tokens_dropped, self.layers_kept + len(self.layers_dropped)
        before, after = self.bytes_before / 4e6, self.bytes_after / 4e6
        return (
            f"{self.tokens_kept:,} of {tokens:,} tokens, {self.layers_kept} of {layers} layers, "
            f"{after:.1f}M of {before:.1f}M weights ({4 * after:.0f} of {4 * before:.0f} MB in float32)"
        )


def prune(
    start: str,
    out: Path,
    *,
    texts: Sequence[Path],
    min_count: int = 1,
    keep_first: int = 0,
    drop_layers: Sequence[int] = (),
    dialect: str = "fenced",
) -> Pruned:
    """Write a smaller copy of a model to `out`, and what became of it to out/pruning.json.

    Args:
        start: folder, GGUF file or hub name of a model.
        out: folder to write.
        texts: JSONL of training rows, which are read as the model will see them, or plain text. Without any, the
            vocabulary stays as it is.
        min_count: a token is kept if it occurs in the texts at least so often.
        keep_first: so many tokens are kept besides, from the first on; a tokenizer learns the commonest first.
        drop_layers: numbers of the layers to leave out, counted from 0.
        dialect: how the rows are written.

    Raises:
        InputError: a file can't be read, the tokenizer isn't BPE, or there is no such layer.
    """
    folder = find_start(start)
    tokenizer = load_tokenizer(folder)
    if not (folder / "config.json").is_file():
        raise InputError(f"{start} holds no model to make smaller")
    if out.resolve() == folder.resolve():
        raise InputError(f"{out} is the model itself; name another --out")
    read = {path: list(_texts(path, tokenizer, dialect)) for path in texts}
    kept = list(range(len(tokenizer)))
    if texts:
        seen = _seen((text for each in read.values() for text in each), tokenizer)
        wanted = {token for token, count in seen.items() if count >= min_count} | set(range(keep_first))
        kept = tokens_to_keep(tokenizer, wanted)
    smaller = renumbered(tokenizer, kept)
    before, after, layers = _write_model(folder, out, tokenizer, smaller, kept, drop_layers)
    smaller.save_pretrained(out)
    report = Pruned(
        tokens_kept=len(kept),
        tokens_dropped=len(tokenizer) - len(kept),
        layers_kept=layers,
        layers_dropped=tuple(sorted(drop_layers)),
        bytes_before=before,
        bytes_after=after,
        texts=tuple(
            TextReport(
                name=path.name,
                sha256=sha256(path),
                tokens_before=_seen(each, tokenizer).total(),
                tokens_after=_seen(each, smaller).total(),
            )
            for path, each in read.items()
        ),
    )
    replace_file(out / MANIFEST, json.dumps(asdict(report), indent=2) + "\n")
    return report


def _texts(path: Path, tokenizer: PreTrainedTokenizerFast, dialect: str) -> Iterator[str]:
    if path.suffix != ".jsonl":
        yield read_text(path)
        return
    marks = get_text_dialect(dialect)
    for row in read_rows(path):
        yield whole_text(row, tokenizer, marks)


def _seen(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> Counter[int]:
    """Count the tokens of the texts."""
    found: Counter[int] = Counter()
    backend = tokenizer.backend_tokenizer
    for text in texts:
        found.update(backend.encode(text).ids)
    return found


def tokens_to_keep(tokenizer: PreTrainedTokenizerFast, wanted: Iterable[int]) -> list[int]:
    """Return the ids of the bytes, the added tokens, those `wanted` and what they are merged from, in order.

    Raises:
        InputError: the tokenizer isn't plain BPE.
    """
    model = _bpe(tokenizer)
    vocabulary: Mapping[str, int] = model["vocab"]
    ranks = {pair: rank for rank, pair in enumerate(_merges(model))}
    made = {first + second for first, second in ranks}
    kept = {number for token, number in vocabulary.items() if token not in made}
    kept.update(tokenizer.added_tokens_decoder)
    names = {number: token for token, number in vocabulary.items()}
    for number in set(wanted) - kept:
        if number in names:
            kept.update(vocabulary[part] for part in _parts(names[number], ranks))
            kept.add(number)
    return sorted(kept)


def _parts(token: str, ranks: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Yield what BPE makes on its way to `token`, that included where it arrives there."""
    parts = list(token)
    while len(parts) > 1:
        rank, place = min((ranks.get(pair, len(ranks)), at) for at, pair in enumerate(pairwise(parts)))
        if rank == len(ranks):
            return
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
        yield parts[place]


def renumbered(tokenizer: PreTrainedTokenizerFast, kept: Sequence[int]) -> PreTrainedTokenizerFast:
    """Return the tokenizer with the tokens `kept` only, numbered in their order, and the merges among them."""
    number = {old: new for new, old in enumerate(kept)}
    whole: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    model = whole["model"]
    vocabulary = {token: number[old] for token, old in model["vocab"].items() if old in number}
    model["vocab"] = vocabulary
    model["merges"] = [
        [first, second]
        for first, second in _merges(model)
        if {first, second, first + second} <= vocabulary.keys()
    ]
    for added in whole["added_tokens"]:
        added["id"] = number[added["id"]]
    for special in ((whole["post_processor"] or {}).get("special_tokens") or {}).values():
        special["ids"] = [number[old] for old in special["ids"]]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer.from_str(json.dumps(whole)),
        clean_up_tokenization_spaces=False,
        model_max_length=tokenizer.model_max_length,
        chat_template=tokenizer.chat_template,
        **{
            name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)
        },
    )


def _bpe(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if model["type"] != "BPE" or model["continuing_subword_prefix"] or model["end_of_word_suffix"]:
        raise InputError(f"the tokenizer ({model['type']}) isn't plain BPE, which alone can be pruned")
    return model


def _merges(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for merge in model["merges"]:
        first, second = merge.split(" ", 1) if isinstance(merge, str) else merge
        yield first, second


def _write_model(
    folder: Path,
    out: Path,
    tokenizer: PreTrainedTokenizerFast,
    smaller: PreTrainedTokenizerFast,
    kept: Sequence[int],
    drop_layers: Sequence[int],
) -> tuple[int, int, int]:
    """Write the weights that are kept; return the bytes before and after, and the number of layers."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    layers = _left(model.config.num_hidden_layers, drop_layers)
    config = AutoConfig.from_pretrained(folder, dtype="float32")
    config.vocab_size = len(kept)
    config.num_hidden_layers = len(layers)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[number] for number in layers]
    for name in ("bos", "eos", "pad"):
        setattr(config, f"{name}_token_id", getattr(smaller, f"{name}_token_id"))
    made = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    made.load_state_dict(dict(_state(model.state_dict(), kept, layers)))
    made.generation_config.eos_token_id = smaller.eos_token_id
    made.generation_config.bos_token_id = smaller.bos_token_id
    made.generation_config.pad_token_id = smaller.pad_token_id
    out.mkdir(parents=True, exist_ok=True)
    made.save_pretrained(out)
    before, after = (4 * sum(weight.numel() for weight in each.parameters()) for each in (model, made))
    return before, after, len(layers)


def _left(layers: int, dropped: Sequence[int]) -> list[int]:
    if beyond := [number for number in dropped if not 0 <= number < layers]:
        raise InputError(f"there is no layer {beyond[0]}: the model has {layers}, counted from 0")
    left = [number for number in range(layers) if number not in dropped]
    if not left:
        raise InputError("a model needs a layer; drop fewer")
    return left


def _state(
    state: Mapping[str, torch.Tensor], kept: Sequence[int], layers: Sequence[int]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights of the smaller model: the rows and the layers that are kept."""
    rows = torch.tensor(kept)
    place = {str(old): str(new) for new, old in enumerate(layers)}
    for name, value in state.items():
        parts = name.split(".")
        if parts[:2] == ["model", "layers"]:
            if parts[2] in place:
                yield ".".join([*parts[:2], place[parts[2]], *parts[3:]]), value
        else:
            yield name, value[rows] if name in _EMBEDDINGS else value
