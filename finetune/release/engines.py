"""Run an exported folder in several engines, each a function from a prompt to the ids of its greedy continuation.

    transformers (`Reference`)      the engine that trained the model
    the embedded engine             onnxruntime, in this process
    vLLM                            over HTTP, with ids beside the text

`verify` compares them. A continuation goes on to the end token or a number of tokens; `verify` cuts it at a stop
string.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from finetune.release.export import GRAPH
from finetune.training.tokenizer import load_tokenizer
from mumath_agent.errors import InputError, ModelRefused, ModelUnreachable
from mumath_agent.models.embedded_engine import Engine
from mumath_agent.models.http.wire import api_url

MAX_TOKENS = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A continuation of a prompt, in ids."""

    prompt: tuple[int, ...]
    ids: tuple[int, ...]


Writer = Callable[[str], Written]
"""An engine: continues a prompt."""


class Reference:
    """transformers in float32: the engine that the others are compared with."""

    def __init__(self, folder: Path, *, max_tokens: int = MAX_TOKENS) -> None:
        """Load the model and its tokenizer.

        Raises:
            InputError: `folder` holds no model or no tokenizer.
        """
        self.tokenizer: PreTrainedTokenizerFast = load_tokenizer(folder)
        if not (folder / "config.json").is_file():
            raise InputError(f"no model in {folder}; give a folder that `export` wrote")
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._model.train(False)
        self._max_tokens = max_tokens

    def room(self, prompt: int) -> int:
        """Return how many tokens may follow a prompt of `prompt` tokens."""
        return min(self._max_tokens, int(self._model.config.max_position_embeddings) - prompt)

    def write(self, prompt: str) -> Written:
        """Continue a prompt greedily.

        Raises:
            InputError: it leaves no room in the model's context.
        """
        asked = self.tokenizer(prompt, return_tensors="pt")
        given = asked["input_ids"].shape[1]
        if (room := self.room(given)) <= 0:
            raise InputError(f"a prompt of {given} tokens leaves no room in the model's context; shorten it")
        end = self.tokenizer.eos_token_id
        options: dict[str, Any] = {"do_sample": False, "eos_token_id": end, "pad_token_id": end}
        with torch.no_grad():
            ids = self._model.generate(**asked, **options, max_new_tokens=room)[0].tolist()
        return Written(prompt=tuple(ids[:given]), ids=tuple(ids[given:]))

    def logit_gap(self, ids: Sequence[int], expected: int, found: int) -> float:
        """Return by how much the logit of `expected` exceeds that of `found` after `ids`."""
        with torch.no_grad():
            logits = self._model(input_ids=torch.tensor([list(ids)])).logits[0, -1]
        return float(logits[expected] - logits[found])


def embedded(folder: Path, reference: Reference) -> Writer | None:
    """Return the embedded engine, or None if the folder lacks its files."""
    if not all((folder / name).is_file() for name in GRAPH):
        return None
    engine = Engine(folder)

    def write(prompt: str) -> Written:
        ids = engine.tokenizer.encode(prompt, add_special_tokens=False).ids
        written = [int(engine.read(0, ids, after=0).argmax())]
        while written[-1] not in engine.eos_ids and len(written) < reference.room(len(ids)):
            logits = engine.step(0, written[-1:], [len(ids) + len(written)])
            written.append(int(logits[0].argmax()))
        return Written(prompt=tuple(ids), ids=tuple(written))

    return write


def served(base_url: str, reference: Reference, *, stop: Sequence[str]) -> Writer:
    """Return an engine for the only model of a vLLM server.

    Raises:
        ModelUnreachable: nothing answers there.
        ModelRefused: the server has more than one model or none, or gives no token ids.
    """
    url = api_url(base_url)
    listed = _json("GET", f"{url}/models").get("data") or []
    if len(listed) != 1:
        raise ModelRefused(
            f"{url} serves {len(listed)} models; one is needed, to be sure of which is compared"
        )

    def write(prompt: str) -> Written:
        room = reference.room(len(reference.tokenizer(prompt)["input_ids"]))
        asked = {"model": listed[0]["id"], "prompt": prompt, "max_tokens": room, "stop": list(stop)}
        options = {"temperature": 0, "include_stop_str_in_output": True, "return_token_ids": True}
        choice = _json("POST", f"{url}/completions", asked | options)["choices"][0]
        if not isinstance(choice.get("token_ids"), list):
            raise ModelRefused(f"{url} gives no token ids; a vLLM of version 0.10.2 or newer does")
        return Written(prompt=tuple(choice["prompt_token_ids"]), ids=tuple(choice["token_ids"]))

    return write


def _json(method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        answer = httpx.request(method, url, json=body, timeout=600.0)
    except httpx.HTTPError as error:
        raise ModelUnreachable(f"{url}: {error}; is the server up?") from None
    if not answer.is_success:
        raise ModelRefused(f"{url} says {answer.status_code}: {answer.text[:200]}")
    value: dict[str, Any] = answer.json()
    return value
