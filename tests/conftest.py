"""Shared by all tests: one asynchronous back end, and a real vLLM for those that need one.

Tests marked `vllm` run last, because vLLM's environment is built in the meantime (`vllm_env`).
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from mumath_agent.models.embedded import DEFAULT
from mumath_agent.serving import free_port, serving

sys.path.append(str(Path(__file__).parent))

from serve_process import ServeProcess
from vllm_env import Building

BUILDING = pytest.StashKey[Building]()
VLLM = "vllm"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[BUILDING] = Building()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (_needs_vllm(item), "ended_vllm" in getattr(item, "fixturenames", ())))
    for (
        item
    ) in items:  # what shares a server, a trained model or a module's fixtures stays in one process of `-n`
        item.add_marker(pytest.mark.xdist_group(_house(item)))


def _house(item: pytest.Item) -> str:
    if _needs_vllm(item):
        return VLLM
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return folder if folder == "finetune" else item.path.name


def pytest_collection_finish(session: pytest.Session) -> None:
    is_worker, only_collects = hasattr(session.config, "workerinput"), session.config.option.collectonly
    if any(map(_needs_vllm, session.items)) and not is_worker and not only_collects:
        session.config.stash[BUILDING].begin()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """The process that started the others builds: it outlives them all."""
    if any(name.endswith(f"@{VLLM}") for name in ids):
        node.config.stash[BUILDING].begin()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if failure := config.stash[BUILDING].failure:
        terminalreporter.section("tests that need vLLM did not run")
        terminalreporter.line(failure, red=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[BUILDING].end()


def _needs_vllm(item: pytest.Item) -> bool:
    return item.get_closest_marker("vllm") is not None


@pytest.fixture
def anyio_backend() -> str:
    """The kernels' sockets are asyncio's, so trio is no choice."""
    return "asyncio"


@pytest.fixture(scope="session")
def vllm_python(request: pytest.FixtureRequest) -> Path:
    """The interpreter of an environment with vLLM; waits until it is built."""
    building = request.config.stash[BUILDING]
    python = building.python()
    if python is None:
        pytest.skip(building.failure or "")
    return python


@pytest.fixture(scope="session")
def shared_vllm(vllm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    """The one `serve` of the session: the embedded weights as "mumath", ready to take adapters."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "1")
        options = [
            DEFAULT,
            "--name",
            "mumath",
            "--port",
            free_port(),
            "--",
            "--enable-lora",
            "--max-lora-rank",
            "8",
        ]
        server = ServeProcess(*options, python=vllm_python, folder=tmp_path_factory.mktemp("vllm"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def serve_vllm(
    shared_vllm: ServeProcess, vllm_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path], str]]:
    """A function that serves a model folder with a real vLLM, as "mumath", and returns the server's base URL.

    A folder is served once and the servers end with the session.
    """
    urls = {DEFAULT: shared_vllm.url()}
    with ExitStack() as servers:

        def serve(folder: Path) -> str:
            if folder not in urls:
                log = tmp_path_factory.mktemp("vllm") / "vllm.log"
                urls[folder] = servers.enter_context(
                    serving(folder, python=vllm_python, name="mumath", log=log)
                )
            return urls[folder]

        yield serve


@pytest.fixture(scope="session")
def ended_vllm(shared_vllm: ServeProcess, serve_vllm: object) -> list[psutil.Process]:
    """The session's `serve` is sent SIGTERM; which of its processes are still there."""
    return shared_vllm.end()
