"""Load a Llama into ONNX Runtime GenAI and continue a prompt, blocking, in the caller's thread.

Everything about tokens is here: text to ids, ids to text, end tokens, the length of the context. Threads and event
loops are left to `embedded.py`.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from mumath_agent.errors import ModelError, ModelRefused
from mumath_agent.models.context import nothing_fits
from mumath_agent.models.stopping import TextUntilStop, new_text_only
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason, Sampling

QUANTIZED = "model.onnx.data"
"""The file of the weights, where the engine has quantised ones of its own."""
_FILES = ("model.onnx", "genai_config.json", "tokenizer.json")
_SEED_BITS = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A model and its tokenizer, loaded from a folder."""

    model: Any
    tokenizer: Tokenizer
    context_tokens: int
    vocabulary_tokens: int
    eos_ids: frozenset[int]


def weights_file(folder: Path) -> Path:
    """Return the file with the weights that are computed with."""
    quantized = folder / QUANTIZED
    return quantized if quantized.is_file() else folder / "model.safetensors"


def load(folder: Path) -> Engine:
    """Load the model in `folder`, in the form that onnxruntime-genai's model builder writes.

    Raises:
        ModelError: a file is missing.
    """
    if missing := [name for name in _FILES if not (folder / name).is_file()]:
        raise ModelError(
            f"there is no model in {folder}: {missing[0]} is missing; name a server with --base-url"
        )
    import onnxruntime_genai as og  # a large library, imported only where it is used

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
    engine: Engine, prompt: str, request: CompletionRequest, cancelled: Event, on_text: OnText
) -> Completion:
    """Return the completion of `prompt`; `on_text` gets each piece of text that can no longer be part of a stop string.

    Another thread sets `cancelled` to end the generation at the next token. The end of the context counts as the token
    limit; if the prompt alone fills the context, the completion is empty.

    Raises:
        ModelRefused: the prompt is empty.
        ModelError: the request was cancelled.
    """
    ids = engine.tokenizer.encode(prompt, add_special_tokens=False).ids
    if not ids:
        raise ModelRefused("the prompt is empty; the embedded model needs at least one token")
    if len(ids) >= engine.context_tokens:
        return nothing_fits(len(ids))
    text, finish, tokens = TextUntilStop(request.stop), FinishReason.LENGTH, 0
    logprob = 0.0 if request.logprobs else None
    decode, tell = decoder(engine.tokenizer), new_text_only(on_text)
    for token, likely in _generate(engine, ids, request, cancelled):
        tokens += 1
        logprob = logprob + likely if logprob is not None else None
        text.add(decode(token))
        tell(text.settled)
        if text.stopped or token in engine.eos_ids:
            finish = FinishReason.STOP
            break
    if cancelled.is_set():  # the text so far must not be taken for a completion
        raise ModelError("the embedded model was closed while it answered")
    tell(text.text)
    return Completion(
        text=text.text,
        finish_reason=finish,
        prompt_tokens=len(ids),
        completion_tokens=tokens,
        logprob=logprob,
    )


def _generate(
    engine: Engine, ids: list[int], request: CompletionRequest, cancelled: Event
) -> Iterator[tuple[int, float]]:
    """Yield tokens one by one until the end token, a limit or `cancelled`.

    Each comes with its log-probability at temperature 1, or 0 where nobody asked for it.
    """
    import onnxruntime_genai as og

    longest = min(len(ids) + request.max_tokens, engine.context_tokens)
    params = og.GeneratorParams(engine.model)
    params.set_search_options(max_length=longest, **_search_options(engine, request.sampling))
    generator = og.Generator(engine.model, params)
    generator.append_tokens(ids)
    while not (generator.is_done() or cancelled.is_set()):
        logits = generator.get_logits().ravel() if request.logprobs else None
        generator.generate_next_token()
        token = int(generator.get_next_tokens()[0])
        yield token, 0.0 if logits is None else _logprob(logits, token)
        time.sleep(0)  # the engine holds Python's lock: without this, event loops run 6 ms late


def _logprob(logits: Any, token: int) -> float:
    shifted = logits - logits.max()
    return float(shifted[token] - np.log(np.exp(shifted).sum()))


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
    # Name all tokens explicitly: without top_k the folder's default of 50 applies, and with top_k=0 the engine (0.18)
    # draws from more tokens than top_p allows.
    return options | {"top_k": engine.vocabulary_tokens}


def decoder(tokenizer: Tokenizer) -> Callable[[int], str]:
    """Return a function that maps each next token to the characters that it completes."""
    stream = DecodeStream(skip_special_tokens=True)
    return lambda token: stream.step(tokenizer, token) or ""


def _threads() -> int:
    """Return all cores but one: the kernels need it, and with every core busy the engine's threads stall each other."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)
