"""A Llama on ONNX Runtime GenAI: loads a folder and continues a prompt, blocking, in the caller's thread.

Owns tokens: text to ids, ids to text, end tokens, the context's length. Threads and event loops are
`embedded.py`'s.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from mumath_agent.errors import ModelError, ModelRefused
from mumath_agent.models.context import nothing_fits
from mumath_agent.models.stopping import TextUntilStop
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason, Sampling

_FILES = ("model.onnx", "genai_config.json", "tokenizer.json")
_SEED_BITS = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What is loaded from a folder."""

    model: Any
    tokenizer: Tokenizer
    context_tokens: int
    vocabulary_tokens: int
    eos_ids: frozenset[int]


def load(folder: Path) -> Engine:
    """The model in `folder`, as onnxruntime-genai's model builder writes it.

    Raises:
        ModelError: a file is missing.
    """
    if missing := [name for name in _FILES if not (folder / name).is_file()]:
        raise ModelError(f"no model in {folder}: {missing[0]} is missing; name a server with --base-url")
    import onnxruntime_genai as og  # only where it is used: it is a large library

    og.disable_telemetry_events()
    config = og.Config(str(folder))
    session = {"intra_op_num_threads": _threads()}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    settings = json.loads((folder / "genai_config.json").read_text("utf-8"))["model"]
    eos = settings["eos_token_id"]
    return Engine(
        model=og.Model(config),
        tokenizer=Tokenizer.from_file(str(folder / "tokenizer.json")),
        context_tokens=settings["context_length"],
        vocabulary_tokens=settings["vocab_size"],
        eos_ids=frozenset(eos if isinstance(eos, list) else [eos]),
    )


def complete(
    engine: Engine, prompt: str, request: CompletionRequest, cancelled: Event, say: OnText
) -> Completion:
    """Write the completion of `prompt`; `say` gets each piece of text that no stop string can take back.

    Another thread sets `cancelled` to end the generation at the next token. Otherwise it ends at the context's end
    as at the token limit; the completion is empty if the prompt alone is as long as the context.

    Raises:
        ModelRefused: the prompt is empty.
        ModelError: the request was cancelled.
    """
    ids = engine.tokenizer.encode(prompt, add_special_tokens=False).ids
    if not ids:
        raise ModelRefused("the prompt is empty; the embedded model needs one token at least")
    if len(ids) >= engine.context_tokens:
        return nothing_fits(len(ids))
    text, finish, tokens, told = TextUntilStop(request.stop), FinishReason.LENGTH, 0, 0
    decode = decoder(engine.tokenizer)
    for token in _generate(engine, ids, request, cancelled):
        tokens += 1
        text.add(decode(token))
        if news := text.settled[told:]:
            told += len(news)
            say(news)
        if text.stopped or token in engine.eos_ids:
            finish = FinishReason.STOP
            break
    if cancelled.is_set():  # what there is must not be taken for a completion
        raise ModelError("the embedded model was closed while it answered")
    if rest := text.text[told:]:
        say(rest)
    return Completion(text=text.text, finish_reason=finish, prompt_tokens=len(ids), completion_tokens=tokens)


def _generate(engine: Engine, ids: list[int], request: CompletionRequest, cancelled: Event) -> Iterator[int]:
    """Yield tokens one by one until the end token, a limit or the request's cancellation."""
    import onnxruntime_genai as og

    longest = min(len(ids) + request.max_tokens, engine.context_tokens)
    params = og.GeneratorParams(engine.model)
    params.set_search_options(max_length=longest, **_search_options(engine, request.sampling))
    generator = og.Generator(engine.model, params)
    generator.append_tokens(ids)
    while not (generator.is_done() or cancelled.is_set()):
        generator.generate_next_token()
        yield int(generator.get_next_tokens()[0])
        time.sleep(0)  # the engine holds Python's lock all the time: without this, event loops run 6 ms late


def _search_options(engine: Engine, sampling: Sampling) -> dict[str, Any]:
    if sampling.temperature == 0:
        return {"do_sample": False}
    options: dict[str, Any] = {
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }
    if sampling.seed is not None:
        options["random_seed"] = sampling.seed & _SEED_BITS
    # All tokens, said in full: without top_k the folder's default of 50 holds, and with top_k=0 the engine (0.18)
    # draws from more tokens than top_p allows.
    return options | {"top_k": engine.vocabulary_tokens}


def decoder(tokenizer: Tokenizer) -> Callable[[int], str]:
    """A function from each next token to the characters that are complete with it."""
    stream = DecodeStream(skip_special_tokens=True)
    return lambda token: stream.step(tokenizer, token) or ""


def _threads() -> int:
    """One core stays free for the kernels; with every core busy, the engine's threads wait for each other."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)
