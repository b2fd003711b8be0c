"""Hand the weights of a model that learns to an engine that writes with it.

model in training ─▶ folder/weights ─▶ folder/exported ─┬─▶ the embedded engine, in this process
                                                        └─▶ a vLLM server, for as long as it is asked
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers.utils import logging

from finetune.release.export import export
from finetune.training.distributed import Processes
from finetune.training.tokenizer import copy_tokenizer
from finetune.training.weights import Model, save_model
from mumath_agent.agent.settings import SolverSettings
from mumath_agent.bridge import run_sync
from mumath_agent.errors import InputError
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.serving import serving

_NAME = "mumath"


@contextmanager
def policy(model: Model, *, start: Path, folder: Path, vllm: Path | None = None) -> Iterator[SolverSettings]:
    """Yield how to ask the model as it stands; what is learned meanwhile reaches the engine with the next call.

    Args:
        model: the weights.
        start: folder of its tokenizer.
        folder: where to put the weights for the engine; what is there of an earlier call is overwritten.
        vllm: Python of an environment with vLLM; without it, the embedded engine writes.

    Raises:
        InputError: the embedded engine can't run the model.
        ModelUnreachable: vLLM didn't start.
    """
    weights, exported = folder / "weights", folder / "exported"
    with _without_bars():
        save_model(model, weights, Processes())
        copy_tokenizer(start, weights)
        left_out = export(weights, exported)
    if vllm is not None:
        with serving(exported, python=vllm, name=_NAME, log=folder / "vllm.log") as base_url:
            yield {"base_url": base_url, "model": _NAME}
        return
    if left_out:
        raise InputError(f"the embedded engine can't run this model ({left_out}); give --vllm")
    engine = EmbeddedModel(exported)
    try:
        yield {"model": engine}
    finally:
        run_sync(engine.aclose())


@contextmanager
def _without_bars() -> Iterator[None]:
    """Have transformers draw no bars of its own between those of the training run."""
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
