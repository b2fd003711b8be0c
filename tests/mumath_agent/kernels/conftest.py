"""Provide sessions to the kernel tests.

The tables beside the tests are plain modules, because the attacks' runner is a script that imports them too.
"""

import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mumath_agent.kernels import JupyterExecutor, Sandbox
from tests.mumath_agent.waiting import HANG_S

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def session() -> AsyncIterator[JupyterExecutor]:
    """One session for all tests that don't mind what others left in it; it recovers from whatever breaks it."""
    async with JupyterExecutor(Sandbox(memory_mb=768), interrupt_grace_s=HANG_S) as executor:
        yield executor


@pytest.fixture(scope="module")
async def impatient_session() -> AsyncIterator[JupyterExecutor]:
    """A session for programs that don't end when they are interrupted."""
    async with JupyterExecutor(interrupt_grace_s=0.3) as executor:
        yield executor


@pytest.fixture
def own_tmp(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for all temporary files of what a test starts."""
    path = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path
