"""Check kernels where forking can't work: each is a process started anew, confined by the same steps."""

import sys
from pathlib import Path

import pytest
from outside import descendants

from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
from mumath_agent.kernels.isolation import layers_of
from mumath_agent.records import ExecutionStatus
from tests.mumath_agent.waiting import HANG_S, eventually

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all kernels are spawned"),
]


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """One that preloads a module which starts a thread: a process with threads can't be forked soundly."""
    source = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    (tmp_path / "starts_a_thread.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    # With namespaces only installed modules can be imported, and none of those starts a thread.
    return Sandbox(layers=layers_of("landlock+seccomp"), preload=("starts_a_thread",))


async def test_a_kernel_is_spawned_confined_and_cleared_away(sandbox: Sandbox) -> None:
    before = descendants()
    async with (
        KernelPool(sandbox, spares=1) as pool,
        JupyterExecutor(pool=pool, interrupt_grace_s=HANG_S) as executor,
    ):
        assert (await executor.run("kept = 42\nkept", timeout_s=HANG_S)).result == "42"
        assert executor.isolation == "landlock+seccomp"
        for code in ("open('/etc/passwd')", "import socket; socket.socket()", "import os; os.fork()"):
            assert "PermissionError" in str((await executor.run(code, timeout_s=HANG_S)).error)
        died = await executor.run("import os; os._exit(3)", timeout_s=HANG_S)
        assert (died.status, died.state_lost) == (ExecutionStatus.DIED, True)
        assert "exit code 3" in str(died.error)
        assert (await executor.run("'kept' in globals()", timeout_s=HANG_S)).result == "False"
        stopped = await executor.run("while True: pass", timeout_s=0.5)
        assert (stopped.status, stopped.state_lost) == (ExecutionStatus.TIMEOUT, False)
    assert await eventually(lambda: descendants() <= before), descendants() - before
