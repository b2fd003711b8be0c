"""What a hostile program can't do to the fork server it shares with other attempts, and with branches of its own.

A kernel is born with a few sockets. One of them leads to the fork server, so anything may arrive there: what must hold
is that other kernels live on, new ones start, and nothing that was sent stays.
"""

from dataclasses import dataclass

import psutil
import pytest
from misbehaving import FIND_WIRES, KERNEL
from outside import descendants

from mumath_agent.errors import KernelError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.records import Execution, ExecutionStatus

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

LEVELS = {
    "full": Sandbox(),
    "without_namespaces": Sandbox(layers=frozenset({"landlock", "seccomp", "rlimits"})),
}
ASSAULTS = {
    "junk": "for wire in wires: wire.sendall(b'junk' * 1000)",
    "endless_junk": "while True: wires[0].sendall(b'junk' * 1000)",
    "descriptors": "for _ in range(500):\n    for wire in wires: socket.send_fds(wire, [b'x'], [1, 1, 1])",
    "descriptors_on_their_way": "a, b = socket.socketpair()\nwhile True: socket.send_fds(a, [b'x'], [1] * 200)",
    "a_file": "for wire in wires: socket.send_fds(wire, [b'listener'], [1])",
    "a_directory": "for wire in wires: socket.send_fds(wire, [b'x'], [os.open('.', os.O_RDONLY)])",
    "itself": "for wire in wires: socket.send_fds(wire, [b'listener'], [wire.fileno()])",
    "a_pipe": "for wire in wires: socket.send_fds(wire, [b'listener'], [os.pipe()[0]])",
    "a_hang_up": "for n in range(3, 20):\n    try: os.close(n)\n    except OSError: pass\nfor w in wires: w.close()",
    "half_a_hang_up": "for wire in wires: wire.shutdown(socket.SHUT_WR)",
    "asking_to_fork": "while True:\n    try: os.fork()\n    except OSError: pass",
    "dying": "os._exit(1)",
}


@pytest.mark.parametrize("assault", ASSAULTS)
@pytest.mark.parametrize("level", LEVELS)
async def test_other_kernels_live_on(level: str, assault: str) -> None:
    sandbox = LEVELS[level]
    async with JupyterExecutor(sandbox) as neighbour:
        await neighbour.run("kept = 5", timeout_s=60)
        before = server_descriptors()
        async with JupyterExecutor(sandbox) as enemy:
            for wire in ("wires", "wires[-1:]", "wires[:1]", "wires[1:2]"):  # all of them, and each alone
                await enemy.run(f"{FIND_WIRES}wires = {wire}\n{ASSAULTS[assault]}", timeout_s=0.3)
            async with JupyterExecutor(sandbox) as newcomer:
                assert (await newcomer.run("print(6*7)", timeout_s=20)).stdout == "42\n"
        execution = await neighbour.run("print(kept)", timeout_s=20)
        assert (execution.stdout, execution.state_lost) == ("5\n", False)
        assert server_descriptors() <= before + 20


def server_descriptors() -> int:
    """How many files all fork servers hold open together."""
    return sum(process.num_fds() for process in descendants() if is_server(process))


def is_server(process: psutil.Process) -> bool:
    """Not a kernel: they are children of a server, as servers are of its guardian."""
    try:
        return process.parents()[1] == psutil.Process()
    except (psutil.NoSuchProcess, IndexError):
        return False


@dataclass(frozen=True, slots=True)
class Ambush:
    """What a program prepares for the moment its kernel is copied."""

    name: str
    prepare: str
    in_branch: str = ""
    """Run in the branch if there is one; then `in_origin` says what got over."""
    in_origin: str = ""


SWAP = """
import os, socket, sys, time
module = sys.modules["mumath_agent.sandbox.kernel"]
unshare = sys.modules["mumath_agent.sandbox.linux"].unshare
genuine = module.settle_copy
class Line:
    def __init__(self, line, leaves):
        self.line, self.leaves, self.recv = line, leaves, line.recv
    def send(self, data):
        self.line.send(data)
        if data == b"moved":
            self.line.close()
            time.sleep(0 if self.leaves else 60)
            os._exit(1)
def settle(line, kept):
    @act@
module.settle_copy = settle
"""
"""Has the copy do something else than it should when it settles down."""
MAP = """
import ctypes, mmap, os
file = open("shared", "w+b")
file.truncate(4096)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
address = libc.mmap(None, ctypes.c_size_t(4096), 3, @kind@, @file@, 0)
file.close()
assert libc.mprotect(ctypes.c_void_p(address), 4096, @protection@) == 0
"""
WRITE = "libc.mprotect(ctypes.c_void_p(address), 4096, 3)\nctypes.memmove(address, b'told', 4)"
READ = "libc.mprotect(ctypes.c_void_p(address), 4096, 3)\nprint(ctypes.string_at(address, 4))"


def acting(act: str) -> str:
    return SWAP.replace("@act@", act)


def mapping(kind: str, file: str, protection: str) -> str:
    return MAP.replace("@kind@", kind).replace("@file@", file).replace("@protection@", protection)


AMBUSHES = [
    Ambush("shared_memory", mapping("33", "-1", "3"), WRITE, READ),
    Ambush("shared_memory_made_read_only", mapping("33", "-1", "1"), WRITE, READ),
    Ambush("shared_memory_made_inaccessible", mapping("33", "-1", "0"), WRITE, READ),
    Ambush("shared_file_made_read_only", mapping("1", "file.fileno()", "1"), WRITE, READ),
    Ambush("silence", acting("time.sleep(60)")),
    Ambush("junk", acting("line.send(b'junk'); time.sleep(60)")),
    Ambush("hang_up", acting("line.close(); time.sleep(60)")),
    Ambush("death", acting("os._exit(1)")),
    Ambush(
        "unread",
        acting("unshare(0x10020000); line.send(b'hello'); time.sleep(0.3); line.close(); time.sleep(60)"),
    ),
    Ambush(
        "hello_twice", acting("unshare(0x10020000); line.send(b'hello'); line.recv(16); line.send(b'hello')")
    ),
    Ambush("moved_at_once", acting("unshare(0x10020000); line.send(b'moved'); time.sleep(60)")),
    Ambush(
        "not_moved", acting("unshare(0x10020000); line.send(b'hello'); line.recv(16); line.send(b'moved')")
    ),
    Ambush("closed_when_admitted", acting("genuine(Line(line, leaves=False), kept)")),
    Ambush("gone_when_admitted", acting("genuine(Line(line, leaves=True), kept)")),
    Ambush(
        "stray",
        """
import os, sys, time
module = sys.modules["mumath_agent.sandbox.kernel"]
def copy_process(server):
    if os.fork():
        return False
    if os.fork():
        while True:  # the one between, that should end
            time.sleep(60)
    sys.modules["mumath_agent.sandbox.linux"].prctl(1, 9)
    return True
module.copy_process = copy_process
""",
    ),
    Ambush(
        "kept_sockets",
        KERNEL
        + """
import os, socket
type(kernel)._check_alone = lambda *arguments: None
genuine, kept = socket.recv_fds, []
def recv_fds(*arguments):
    result = genuine(*arguments)
    kept.extend(socket.socket(fileno=os.dup(descriptor)) for descriptor in result[1][:-2])
    return result
socket.recv_fds = recv_fds
""",
        "pass",
        """
for one in kept:
    one.setblocking(False)
    try:
        one.recv(1)
    except BlockingIOError:
        print("told: a connection of the branch is mine too")
""",
    ),
]


@pytest.mark.parametrize("ambush", AMBUSHES, ids=lambda ambush: ambush.name)
async def test_a_branch_of_a_hostile_kernel(ambush: Ambush) -> None:
    """It is refused or it is isolated; nothing else is hurt, and nothing stays when its executors are gone."""
    async with JupyterExecutor() as neighbour:
        await neighbour.run("kept = 5", timeout_s=60)
        before = descendants()
        async with JupyterExecutor() as origin:
            prepared = await origin.run(ambush.prepare, timeout_s=10)
            assert prepared.status is ExecutionStatus.OK, prepared.error
            stopped = Execution(status=ExecutionStatus.TIMEOUT, duration_s=1)
            origin._history.add("", stopped)  # its programs can't run again: the copy itself is meant
            try:
                branch = await origin.fork()
            except KernelError:
                pass
            else:
                async with branch:
                    if ambush.in_branch:
                        done = await branch.run(ambush.in_branch, timeout_s=5)
                        assert done.status is ExecutionStatus.OK, done.error
                        heard = await origin.run(ambush.in_origin, timeout_s=5)
                        assert "told" not in heard.stdout, heard.stdout
        async with JupyterExecutor() as newcomer:
            assert (await newcomer.run("print(6*7)", timeout_s=20)).stdout == "42\n"
        execution = await neighbour.run("print(kept)", timeout_s=20)
        assert (execution.stdout, execution.state_lost) == ("5\n", False)
        assert {process.pid for process in descendants() - before} == set()
