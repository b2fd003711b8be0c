"""Provide isolated kernels to any jupyter_client program, through the kernel spec `mumath`.

    from jupyter_client.manager import start_new_kernel
    manager, client = start_new_kernel(kernel_name="mumath")

Everything that starts kernels by name can use it: nbclient, papermill, Jupyter Server. Such a kernel has no `input()`
and no widgets, and while a cell runs it answers nothing, not even heartbeats.
"""

import asyncio
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Bool, Int

from mumath_agent.kernels import workdir
from mumath_agent.kernels.forkserver import ForkServer, server_for
from mumath_agent.kernels.isolation import Sandbox
from mumath_agent.kernels.kernel import START_TIMEOUT_S
from mumath_agent.kernels.process import Process
from mumath_agent.sandbox.spec import CHANNELS, SECCOMP, KernelSpec

PAUSE_S = 0.005
"""How often a process that starts or ends is looked at; jupyter_client may drive us from several loops in turn."""


class ForkServerProvisioner(KernelProvisionerBase):
    """A provisioner that forks kernels; they run at the best level of isolation this machine has."""

    unsafe_local: bool = Bool(False, config=True, help="Run where programs can't be confined.")  # type: ignore[assignment]
    memory_mb: int = Int(2048, config=True, help="Megabytes of address space a kernel may take.")  # type: ignore[assignment]

    _process: Process | None = None
    _server: ForkServer | None = None
    _directory: Path | None = None
    _work: Path | None = None

    @property
    def has_process(self) -> bool:
        """True from the launch of a kernel until it is cleaned up."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The kernel's process id; None without a kernel."""
        return self._process.pid if self._process else None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Choose where the kernel will listen: five sockets in a directory only this user can enter."""
        manager: Any = self.parent
        if self._directory is None:  # at a restart, clients find the successor at the same addresses
            self._server = await server_for(self._sandbox)
            self._directory = Path(tempfile.mkdtemp(dir=self._server.runtime, prefix=""))
        manager.transport, manager.ip = "ipc", str(self._directory / "kernel")
        for port, channel in enumerate(CHANNELS, start=1):
            setattr(manager, f"{channel}_port", port)
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel and wait until it listens.

        Raises:
            KernelError: this machine can't confine programs, or no process could be started.
            RuntimeError: the kernel reports that it can't start.
        """
        sandbox = self._sandbox
        self._server = await server_for(sandbox)
        self._work = self._server.work_directory()
        key: Any = self.connection_info["key"]
        spec = KernelSpec(
            key=key.decode() if isinstance(key, bytes) else key,
            channels=list(CHANNELS),
            listening=True,
            work=str(self._work),
            memory_mb=sandbox.memory_mb,
            work_mb=sandbox.work_mb,
            max_output_chars=1 << 24,
        )
        listeners = [self._listener(port) for port in range(1, len(CHANNELS) + 1)]
        try:
            self._process = Process.requested(
                self._server.control, spec, listeners, starts_others=SECCOMP not in self._server.layers
            )
        finally:
            for listener in listeners:
                listener.close()
        await self._until(lambda process: process.ready or process.ended or process.error is not None)
        if self._process.error:
            raise RuntimeError(self._process.error)
        return self.connection_info

    @property
    def _sandbox(self) -> Sandbox:
        return Sandbox(unsafe_local=self.unsafe_local, memory_mb=self.memory_mb)

    def _listener(self, port: int) -> socket.socket:
        path = Path(f"{self._directory}/kernel-{port}")
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        return listener

    async def poll(self) -> int | None:
        """Return None while the kernel runs, else its exit code."""
        if self._process is None:
            return 0
        self._process.receive()
        if self._process.cut_off:
            self._process.end(b"")
        return (self._process.exit_code or 0) if self._process.ended else None

    async def wait(self) -> int | None:
        """Wait until the kernel has ended, for a minute at most, and return its exit code."""
        await self._until(lambda process: process.ended)
        return await self.poll()

    async def _until(self, reached: Any) -> None:
        for _ in range(int(START_TIMEOUT_S / PAUSE_S)):
            await self.poll()
            if self._process is None or reached(self._process):
                return
            await asyncio.sleep(PAUSE_S)

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel."""
        if self._process is not None:
            self._process.send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Kill the kernel: it has nothing to save."""
        await self.kill()

    async def cleanup(self, restart: bool = False) -> None:
        """Remove what the kernel left; its addresses stay if it restarts."""
        if self._process is not None:
            self._process.close()
            self._process = None
        if self._work is not None:
            workdir.remove(self._work)
        if self._directory is not None and not restart:
            shutil.rmtree(self._directory, ignore_errors=True)
