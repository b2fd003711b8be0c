"""What all tests share: the order they run in, marks that are true, one asynchronous back end, and a real vLLM.

vLLM is made and started in the background (`vllm_session`), so the tests that need it run last. What shares a module's
fixtures, or vLLM, stays in one process of `-n`.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from typing import Any

import psutil
import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"  # of PyTorch, for models this small: several only wait for each other
sys.path.append(str(Path(__file__).parent / "guard"))  # also programs that tests start find it, by PYTHONPATH

import needs

from mumath_agent.models.embedded_engine import Engine
from mumath_agent.models.http import retries
from mumath_agent.serving import serving
from tests.toy import TOY
from tests.vllm_env import NoEnvironment
from tests.vllm_session import VllmSession

TESTS = Path(__file__).parent
SESSION = pytest.StashKey[VllmSession]()
VLLM = "vllm"
_FOLDER = "vllm_session"
LONGEST = (
    "finetune/pipeline/test_pipeline.py",
    "docs/test_snippets.py",
    "mumath_agent/kernels/test_attacks.py",
    "mumath_agent/kernels/test_misbehaviour.py",
    "mumath_agent/commands/test_terminal.py",
    "benchmarks/report/test_viewer.py",
    "mumath_agent/front/web/test_page.py",
    "mumath_agent/commands/test_solve.py",
    "finetune/release/test_export.py",
    "mumath_agent/grading/test_grading.py",
    "finetune/training/test_train.py",
)
"""They come first, so that no process ends long before the others."""


def pytest_configure(config: pytest.Config) -> None:
    # Containers often forbid it. Then every program that a test starts compiles our modules, and vLLM's, again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    settings.register_profile("busy", deadline=None)  # an example may take any time
    settings.load_profile("busy")
    given = getattr(config, "workerinput", {}).get(_FOLDER)
    config.stash[SESSION] = VllmSession(Path(given)) if given else VllmSession()
    os.environ[needs.TRIED] = str(Path(tempfile.mkdtemp(prefix="mumath-tests-")) / "tried")
    retries._GROWING.multiplier = 0.02  # servers that fail here won't recover
    needs.install()
    load = Engine.__init__

    def watched(engine: Engine, folder: Path) -> None:
        needs.refuse("model", "loads a model")
        load(engine, folder)

    Engine.__init__ = watched  # type: ignore[method-assign,assignment]


# Order


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: (_needs_vllm(item), "ended_vllm" in getattr(item, "fixturenames", ()), _rank(item))
    )
    # vLLM is ready by then, and its tests, which only one process can make, aren't what the others wait for.
    served = [item for item in items if _needs_vllm(item)]
    rest = items[: len(items) - len(served)]
    items[:] = [*rest[: 3 * len(rest) // 4], *served, *rest[3 * len(rest) // 4 :]]
    for item in items:
        if item.get_closest_marker("xdist_group") is None:  # files that share an expensive fixture name one
            item.add_marker(pytest.mark.xdist_group(VLLM if _needs_vllm(item) else _file(item)))
        if _needs_vllm(item) and item.get_closest_marker("timeout") is None:
            # vLLM's start has a limit of its own, and does not count for the test that happens to wait for it.
            item.add_marker(pytest.mark.timeout(float(item.config.getini("timeout")), func_only=True))


def _rank(item: pytest.Item) -> int:
    return LONGEST.index(_file(item)) if _file(item) in LONGEST else len(LONGEST)


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()


def _needs_vllm(item: pytest.Item) -> bool:
    return item.get_closest_marker("vllm") is not None


# Marks that are true


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    needs.forbid({mark.name for mark in item.iter_markers()})
    try:
        return (yield)
    finally:
        needs.forbid(needs.MARKERS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    tried = Path(os.environ[needs.TRIED])
    if tried.exists():
        report.outcome, report.longrepr = "failed", tried.read_text("utf-8")
        tried.unlink()
    return report


# vLLM


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[_FOLDER] = str(node.config.stash[SESSION].folder)


def pytest_collection_finish(session: pytest.Session) -> None:
    is_worker, only_collects = hasattr(session.config, "workerinput"), session.config.option.collectonly
    if any(map(_needs_vllm, session.items)) and not is_worker and not only_collects:
        session.config.stash[SESSION].begin()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Begin in the process that started the others: it outlives them all."""
    if any(name.endswith(f"@{VLLM}") for name in ids):
        node.config.stash[SESSION].begin()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if failure := config.stash[SESSION].failure:
        terminalreporter.section("tests that need vLLM did not run")
        terminalreporter.line(failure, red=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    rmtree(Path(os.environ[needs.TRIED]).parent, ignore_errors=True)
    if not hasattr(config, "workerinput"):
        config.stash[SESSION].end()


@pytest.fixture
def anyio_backend() -> str:
    """Return the only back end: the kernels' sockets are asyncio's."""
    return "asyncio"


@pytest.fixture(scope="session")
def vllm_python(request: pytest.FixtureRequest) -> Path:
    """Wait for the environment with vLLM and return its interpreter."""
    try:
        return request.config.stash[SESSION].python()
    except NoEnvironment as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def shared_vllm(request: pytest.FixtureRequest, vllm_python: Path) -> VllmSession:
    """Wait for the one `serve` of the session: the toy as "mumath", ready to take adapters."""
    session = request.config.stash[SESSION]
    session.url()
    return session


@pytest.fixture(scope="session")
def serve_vllm(
    shared_vllm: VllmSession, vllm_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path], str]]:
    """Return a function that serves a model folder with a real vLLM, as "mumath", and returns the server's base URL.

    The toy is the session's; any other folder takes a start, so only slow tests ask for one.
    """
    urls = {TOY: shared_vllm.url()}
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
def ended_vllm(shared_vllm: VllmSession, serve_vllm: object) -> tuple[list[psutil.Process], int]:
    """Stop the session's `serve` with SIGTERM; what is left of its processes, and its exit code."""
    return shared_vllm.stop()
