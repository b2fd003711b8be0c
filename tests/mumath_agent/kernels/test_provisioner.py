"""Run unmodified jupyter_client code with our kernels: by provisioner, over its own ZeroMQ sockets."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager, start_new_kernel

import mumath_agent
from mumath_agent.kernels.provisioner import ForkServerProvisioner
from tests.mumath_agent.waiting import HANG_S

pytestmark = pytest.mark.kernel

SPECS = Path(mumath_agent.__file__).parent / "kernels" / "kernelspec"


def specs(directory: Path) -> KernelSpecManager:
    """Find our kernel spec also where the package isn't installed as a wheel."""
    kernels = directory / "kernels"
    kernels.mkdir()
    (kernels / "mumath").symlink_to(SPECS)
    return KernelSpecManager(kernel_dirs=[str(kernels)])


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel(kernel_name="mumath", kernel_spec_manager=specs(tmp_path))
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


Started = tuple[KernelManager, BlockingKernelClient]


def executed(client: BlockingKernelClient, code: str) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    outputs: list[tuple[str, Any]] = []
    reply = client.execute_interactive(
        code, timeout=HANG_S, output_hook=lambda m: outputs.append((m["msg_type"], m["content"]))
    )
    return reply["content"], outputs


def test_cells_run_and_answer_as_the_protocol_says(started: Started) -> None:
    manager, client = started
    assert isinstance(manager.provisioner, ForkServerProvisioner)
    assert manager.is_alive()
    reply, outputs = executed(client, "print('said')\n6 * 7")
    assert (reply["status"], reply["execution_count"]) == ("ok", 1)
    kinds = [kind for kind, _ in outputs]
    assert kinds == ["status", "execute_input", "stream", "execute_result", "status"]
    assert outputs[2][1] == {"name": "stdout", "text": "said\n"}
    assert outputs[3][1]["data"] == {"text/plain": "42"}
    reply, outputs = executed(client, "1 / 0")
    assert (reply["status"], reply["ename"], reply["execution_count"]) == ("error", "ZeroDivisionError", 2)
    assert "error" in [kind for kind, _ in outputs]


def test_they_are_confined(started: Started) -> None:
    _, client = started
    for code in ("open('/etc/passwd')", "import socket; socket.socket()", "import os; os.fork()"):
        assert executed(client, code)[0]["status"] == "error"


def test_interrupt_restart_and_shutdown_work(started: Started) -> None:
    manager, client = started
    request = client.execute("import time\nx = 1\nprint('begun', flush=True)\ntime.sleep(600)")
    while client.get_iopub_msg(timeout=HANG_S)["msg_type"] != "stream":
        pass
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=HANG_S)
    assert reply["parent_header"]["msg_id"] == request
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert executed(client, "x")[0]["status"] == "ok"
    manager.restart_kernel(now=True)
    client.wait_for_ready(timeout=HANG_S)
    assert executed(client, "x")[0]["ename"] == "NameError"
    manager.shutdown_kernel()
    assert not manager.is_alive()


def test_the_other_requests_are_answered(started: Started) -> None:
    _, client = started
    executed(client, "import math")
    assert client.complete("math.sq", reply=True, timeout=HANG_S)["content"]["matches"] == [".sqrt"]
    assert "square root" in str(client.inspect("math.sqrt", reply=True, timeout=HANG_S)["content"]["data"])
    assert client.history(reply=True, timeout=HANG_S)["content"]["history"] == []
    client.is_complete("for n in x:")
    assert client.get_shell_msg(timeout=HANG_S)["content"] == {"status": "incomplete", "indent": "    "}
    assert client.kernel_info(reply=True, timeout=HANG_S)["content"]["language_info"]["name"] == "python"


def test_a_second_client_hears_the_first(started: Started) -> None:
    manager, client = started
    other = manager.client()
    other.start_channels()
    other.wait_for_ready(timeout=HANG_S)
    executed(client, "print('for all')")
    texts: list[str] = []
    while "for all\n" not in texts:
        texts.append(other.get_iopub_msg(timeout=HANG_S)["content"].get("text", ""))
    other.stop_channels()


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[AsyncKernelManager]:
    manager = AsyncKernelManager(kernel_name="mumath", kernel_spec_manager=specs(tmp_path))
    await manager.start_kernel()
    yield manager
    await manager.shutdown_kernel(now=True)


@pytest.mark.anyio
async def test_the_asynchronous_manager_drives_it_too(manager: AsyncKernelManager) -> None:
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=HANG_S)
    reply = await client.execute_interactive("6 * 7", timeout=HANG_S)
    assert reply["content"]["status"] == "ok"
    client.stop_channels()
    await manager.provisioner.kill()
    assert await asyncio.wait_for(manager.provisioner.wait(), HANG_S) == -9
    assert not await manager.is_alive()
