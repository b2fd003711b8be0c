"""A tiny model for the tests, in the embedded engine's format: what they say of the loop holds for any model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.replay.server import serving
from mumath_agent.bridge import run_sync
from mumath_agent.models.embedded import DEFAULT, EmbeddedModel
from mumath_agent.models.embedded_engine import Engine

TOY = Path(__file__).parent / "data" / "toy"
"""A Llama of 4.5M parameters (9 MB) that solves sums and short word problems; it loads in a moment."""
WITH_TOY = ("--weights", str(TOY))
"""The option that gives it to a command, in the place of the model that ships."""


@contextmanager
def toy_as_default() -> Iterator[None]:
    """Load the toy where this process loads the model that ships: for programs that can't be given a folder."""
    load = Engine.__init__

    def load_toy(engine: Engine, folder: Path) -> None:
        load(engine, TOY if folder == DEFAULT else folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "__init__", load_toy)
        yield


@contextmanager
def toy_served() -> Iterator[str]:
    """Serve the toy to programs that take the address of a server; yield it. Its dialect is fenced."""
    model = EmbeddedModel(TOY)
    with serving(model) as url:
        yield url
    run_sync(model.aclose())
