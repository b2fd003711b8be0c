"""Check that a hostile program can't harm the fork server that it shares with other attempts, nor use its branches.

A kernel is born with a few sockets. One of them leads to the fork server, so anything may arrive there: other kernels
must live on, new ones must start, and nothing that was sent may stay. The default run makes all assaults at level full,
and all ambushes, at the same time on one fork server; at another level, and each alone, they are slow tests.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from misbehaving import FIND_WIRES
from outside import descendants

from mumath_agent.errors import KernelError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.kernels import kernel as kernel_module
from mumath_agent.records import Execution, ExecutionStatus
from mumath_agent.sandbox.spec import WORK
from tests.waiting import HANG_S, eventually

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

LEVELS = {
    "full": Sandbox(),
    "without_namespaces": Sandbox(layers=frozenset({"landlock", "seccomp", "rlimits"})),
}
URGENT = {
    "an_urgent_byte": "for wire in wires: wire.send(b'x', socket.MSG_OOB)",
    "urgent_bytes_between_others": "for wire in wires:\n    for _ in range(50):\n"
    "        wire.send(b'x', socket.MSG_OOB); wire.send(b'yz')",
    "an_urgent_byte_and_a_hang_up": "for wire in wires: wire.send(b'x', socket.MSG_OOB); wire.shutdown(socket.SHUT_WR)",
}
ASSAULTS = URGENT | {
    "junk": "for wire in wires: wire.sendall(b'junk' * 1000)",
    "endless_junk": "while True: wires[0].sendall(b'junk' * 1000)",
    "descriptors": "for _ in range(500):\n    for wire in wires: socket.send_fds(wire, [b'x'], [1, 1, 1])",
    "descriptors_on_their_way": "a, b = socket.socketpair()\nwhile True: socket.send_fds(a, [b'x'], [1] * 200)",
    "a_file": "for wire in wires: socket.send_fds(wire, [b'listener'], [1])",
    "a_directory": "for wire in wires: socket.send_fds(wire, [b'x'], [os.open('.', os.O_RDONLY)])",
    "itself": "for wire in wires: socket.send_fds(wire, [b'listener'], [wire.fileno()])",
    "a_pipe": "for wire in wires: socket.send_fds(wire, [b'listener'], [os.pipe()[0]])",
    "a_hang_up": "for n in range(3, 20):\n    try: os.close(n)\n    except OSError: pass\nfor w in wires: w.close()",
    "a_byte_at_a_time": "for _ in range(200):\n    for wire in wires: wire.send(b'x')",
    "a_deaf_half": "for wire in wires: wire.shutdown(socket.SHUT_RD)",
    "half_a_hang_up": "for wire in wires: wire.shutdown(socket.SHUT_WR)",
    "asking_to_fork": "while True:\n    try: os.fork()\n    except OSError: pass",
    "dying": "os._exit(1)",
}
WIRES = ("wires", "wires[-1:]", "wires[:1]", "wires[1:2]")
"""All of them, and each alone."""
LEFT_OVER = 20
"""Descriptors that a fork server may hold more than before, because kernels of this test are still there."""


async def assault(sandbox: Sandbox, code: str) -> None:
    """Have a program attack its wires."""
    never_ends = "while True" in code or "os.close" in code
    async with JupyterExecutor(sandbox, interrupt_grace_s=0.3) as enemy:
        for wires in WIRES:
            quick = "for wire in wires: wire.settimeout(0.5)"
            await enemy.run(
                f"{FIND_WIRES}wires = {wires}\n{quick}\n{code}", timeout_s=0.5 if never_ends else HANG_S
            )


async def assert_others_live_on(sandbox: Sandbox, assaults: Iterable[str]) -> None:
    async with JupyterExecutor(sandbox) as bystander:
        await bystander.run("kept = 5", timeout_s=HANG_S)
        before = server_descriptors()
        async with asyncio.TaskGroup() as tasks:
            for code in assaults:
                tasks.create_task(assault(sandbox, code))
            await assert_kernels_start(sandbox)
        await assert_kernels_start(sandbox)
        execution = await bystander.run("print(kept)", timeout_s=HANG_S)
        assert (execution.stdout, execution.state_lost) == ("5\n", False)
        assert await eventually(lambda: server_descriptors() <= before + LEFT_OVER)


async def assert_kernels_start(sandbox: Sandbox | None = None) -> None:
    async with JupyterExecutor(sandbox) as newcomer:
        assert (await newcomer.run("print(6*7)", timeout_s=HANG_S)).stdout == "42\n"


@pytest.mark.parametrize(
    "level", [pytest.param(level, marks=() if level == "full" else pytest.mark.slow) for level in LEVELS]
)
async def test_other_kernels_live_on_whatever_programs_send(level: str) -> None:
    await assert_others_live_on(LEVELS[level], ASSAULTS.values())


@pytest.mark.filterwarnings("ignore:model-written programs run at:UserWarning")
async def test_other_kernels_live_on_where_nothing_keeps_programs_from_urgent_bytes() -> None:
    sandbox = Sandbox(layers=frozenset({"namespaces", "landlock", "rlimits"}), unsafe_local=True)
    await assert_others_live_on(sandbox, URGENT.values())


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, id=name, marks=[] if name == "an_urgent_byte" else pytest.mark.slow)
        for name, code in URGENT.items()
    ],
)
@pytest.mark.filterwarnings("ignore:model-written programs run at:UserWarning")
async def test_urgent_bytes_cost_our_loop_nothing(code: str) -> None:
    """They would keep a connection readable that has nothing to read, and our loop awake, for ever."""
    sandbox = Sandbox(layers=frozenset({"namespaces", "landlock", "rlimits"}), unsafe_local=True)
    async with JupyterExecutor(sandbox, interrupt_grace_s=0.3) as enemy:
        await enemy.run(f"{FIND_WIRES}{code}", timeout_s=0.5)
        before = time.process_time()
        await asyncio.sleep(2)
        assert time.process_time() - before < 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ASSAULTS)
@pytest.mark.parametrize("level", LEVELS)
async def test_other_kernels_live_on_whatever_one_program_sends(level: str, name: str) -> None:
    await assert_others_live_on(LEVELS[level], [ASSAULTS[name]])


def server_descriptors() -> int:
    """Return how many files all fork servers hold open together."""
    total = 0
    for process in descendants():
        with suppress(psutil.NoSuchProcess):
            total += process.num_fds() if is_server(process) else 0
    return total


def is_server(process: psutil.Process) -> bool:
    """Tell a server from a kernel: kernels are children of a server, as servers are of its guardian."""
    try:
        return process.parents()[1] == psutil.Process()
    except (psutil.NoSuchProcess, IndexError):
        return False


@dataclass(frozen=True, slots=True)
class Ambush:
    """What a program prepares for the moment in which its kernel is copied."""

    name: str
    prepare: str
    refused: str = ""
    """A pattern of the error; without it there may be a branch, which must be isolated."""
    in_branch: str = ""
    """Run in the branch if there is one; then `in_origin` prints "told" if something got over."""
    in_origin: str = ""


SETTLE = """
import os, sys, threading, time
module = sys.modules["mumath_agent.sandbox.kernel"]
linux = sys.modules["mumath_agent.sandbox.linux"]
genuine = module.settle_copy
def call(): linux.unshare(0x10020000)
def let_go(rights=True, directory=True, files=-1):
    call()
    call()
    if rights: linux.drop_capabilities()
    if directory: os.chdir("@work@")
    if files: os.closerange(max(files, 0), 1000)
def settle():
    @act@
module.settle_copy = settle
"""
"""Has the copy do something else than it should when it settles down (`branch.settle_copy`)."""
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
    return SETTLE.replace("@act@", act).replace("@work@", WORK)


def mapping(kind: str, file: str, protection: str) -> str:
    return MAP.replace("@kind@", kind).replace("@file@", file).replace("@protection@", protection)


def copying(between: str, copy: str, origin: str = "") -> str:
    """Have a kernel do something else than it should when it is copied (`branch.copy_process`)."""
    return f"""
import os, sys, time
module = sys.modules["mumath_agent.sandbox.kernel"]
linux = sys.modules["mumath_agent.sandbox.linux"]
def stay():
    while True: time.sleep(60)
def copy_process(server):
    if os.fork():
        {origin or "pass"}
        return False
    if os.fork():
        {between}
    else:
        {copy}
    return True
module.copy_process = copy_process
"""


LATE, DEAF, KEPT_RIGHTS = "did not answer in time", "was not ready after", "kept rights or threads"
AMBUSHES = [
    Ambush("shared_memory", mapping("33", "-1", "3"), "shares memory", WRITE, READ),
    Ambush("shared_memory_made_read_only", mapping("33", "-1", "1"), "shares memory", WRITE, READ),
    Ambush("shared_memory_made_inaccessible", mapping("33", "-1", "0"), "shares memory", WRITE, READ),
    Ambush("shared_file_made_read_only", mapping("1", "file.fileno()", "1"), "shares memory", WRITE, READ),
    *[
        Ambush(f"private_view_of_{name}_{protection}", mapping("2", file, protection), "shares memory")
        for name, file in (("stdout", "1"), ("stderr", "2"), ("a_file", "file.fileno()"))
        for protection in "013"
    ],
    Ambush("shared_view_of_stdout", mapping("1", "1", "3"), "shares memory"),
    Ambush(
        "private_view_of_a_deleted_file",
        mapping("2", "file.fileno()", "3") + "os.unlink('shared')",
        "shares memory",
    ),
    Ambush("keeps_standard_files", acting("let_go(files=3); call()"), "has files open"),
    Ambush("silence", acting("time.sleep(600)"), LATE),
    Ambush("death", acting("os._exit(1)"), LATE),
    Ambush("another_call", acting("linux.unshare(0x10000000)"), LATE),
    Ambush("one_call_only", acting("call(); time.sleep(600)"), LATE),
    Ambush("calls_at_once", acting("call(); call(); call(); time.sleep(600)"), KEPT_RIGHTS),
    Ambush("keeps_rights", acting("let_go(rights=False); call()"), KEPT_RIGHTS),
    Ambush("keeps_files", acting("let_go(files=0); call()"), "has files open"),
    Ambush("keeps_directory", acting("let_go(directory=False); call()"), "stayed in its origin's directory"),
    Ambush(
        "keeps_a_thread",
        acting("let_go(); threading.Thread(target=time.sleep, args=(600,)).start(); call()"),
        KEPT_RIGHTS,
    ),
    Ambush("gone_when_admitted", acting("genuine(); os._exit(1)"), "ended at once"),
    Ambush("deaf_when_admitted", acting("genuine(); time.sleep(600)"), DEAF),
    Ambush(
        "threads_unchecked",
        """
import sys, threading, time
sys.modules["mumath_agent.sandbox.kernel"].KernelLoop._check_alone = lambda self: None
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
""",
        "copying was not permitted",
    ),
    *(
        STRAYS := [
            Ambush(
                "one_between_that_stays", copying("stay()", "linux.prctl(1, 9)"), "isn't the server's child"
            ),
            Ambush("one_between_that_becomes_the_copy", copying("pass", "stay()"), LATE),
            Ambush("two_that_become_the_copy", copying("pass", "pass")),
            Ambush("two_that_stay", copying("stay()", "stay()"), LATE),
            Ambush("one_that_stays_and_nobody", copying("os._exit(0)", "stay()"), LATE),
            Ambush("an_origin_that_ends", copying("stay()", "stay()", "os._exit(1)"), f"{LATE}|ended"),
            Ambush("one_that_calls_too_often", copying("os.fork(); stay()", "os.fork(); stay()"), LATE),
        ]
    ),
]


def never_repeat(executor: JupyterExecutor) -> None:
    """Make an executor's history unrepeatable: a branch must be the copy itself, or be refused."""
    executor._history.add("", Execution(status=ExecutionStatus.TIMEOUT, duration_s=1))


async def ambushed(ambush: Ambush, may_be_late: bool) -> str:
    """Have a prepared kernel copied; return what is wrong with the outcome, or an empty string."""
    refused = f"{ambush.refused}|{LATE}|{DEAF}" if may_be_late else ambush.refused
    async with JupyterExecutor() as origin:
        prepared = await origin.run(ambush.prepare, timeout_s=HANG_S)
        assert prepared.status is ExecutionStatus.OK, prepared.error
        never_repeat(origin)
        try:
            branch = await origin.fork()
        except KernelError as error:
            return "" if re.search(refused, str(error)) else str(error)
        async with branch:
            if not ambush.in_branch:
                return f"a branch instead of {ambush.refused!r}" if ambush.refused else ""
            done = await branch.run(ambush.in_branch, timeout_s=HANG_S)
            heard = await origin.run(ambush.in_origin, timeout_s=HANG_S)
            return f"{done.error} {heard.stdout}" if "told" in heard.stdout or done.error else ""


async def busy() -> str:
    """Ask for a branch of a kernel that runs a program."""
    async with JupyterExecutor() as origin:
        never_repeat(origin)
        begun = asyncio.Event()
        program = "print('begun', flush=True)\nwhile True: pass"
        running = asyncio.create_task(origin.run(program, timeout_s=HANG_S, on_output=lambda *_: begun.set()))
        await begun.wait()
        try:
            await (await origin.fork()).__aexit__(None, None, None)
        except KernelError as error:
            told = "" if re.search(f"{LATE}|{DEAF}", str(error)) else str(error)
        else:
            told = "a branch of a busy kernel"
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return told


async def assert_ambushes_fail(ambushes: Sequence[Ambush]) -> None:
    """Every ambush is refused or isolated; other kernels live on, and nothing stays when its executors are gone."""
    crowded = len(ambushes) > 1  # then a copy may miss the server's deadline before it shows what it is up to
    async with JupyterExecutor() as bystander:
        await bystander.run("kept = 5", timeout_s=HANG_S)
        before = descendants()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kernel_module, "FORK_TIMEOUT_S", 6.0)  # after the server's, when so many are made
            async with asyncio.TaskGroup() as tasks:
                told = {ambush.name: tasks.create_task(ambushed(ambush, crowded)) for ambush in ambushes}
                told["busy"] = tasks.create_task(busy())
        assert {name: task.result() for name, task in told.items() if task.result()} == {}
        await assert_kernels_start()
        execution = await bystander.run("print(kept)", timeout_s=HANG_S)
        assert (execution.stdout, execution.state_lost) == ("5\n", False)
        assert await eventually(lambda: descendants() <= before)


async def test_no_branch_of_a_hostile_kernel_gets_anything_over() -> None:
    await assert_ambushes_fail(AMBUSHES)


@pytest.mark.parametrize(
    "ambush",
    [
        pytest.param(ambush, id=ambush.name, marks=pytest.mark.slow if number > 1 else [])
        for number, ambush in enumerate(STRAYS)
    ],
)
async def test_no_stray_copy_stays_even_while_its_origin_lives(ambush: Ambush) -> None:
    async with JupyterExecutor() as origin:
        await origin.run(ambush.prepare, timeout_s=HANG_S)
        before = descendants()
        never_repeat(origin)
        with pytest.raises(KernelError, match=ambush.refused) if ambush.refused else nullcontext():
            await (await origin.fork()).__aexit__(None, None, None)
        assert await eventually(lambda: descendants() <= before)


def in_one_family(processes: set[psutil.Process]) -> bool:
    """Return whether these, and no other of ours, are in one user namespace: a copy, and who copies its files."""
    families = [family_of(process) for process in processes]
    return len(set(families)) == 1 and families[0] not in map(family_of, descendants() - processes)


def family_of(process: psutil.Process) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/{process.pid}/ns/user").readlink())
    return "ended"


@pytest.mark.slow
async def test_other_kernels_start_while_many_files_are_copied() -> None:
    """The copy and the process that copies its files are stopped half-way: only the copy is given up."""
    async with JupyterExecutor() as origin:
        await origin.run("for n in range(4000): open(f'f{n}', 'w').close()", timeout_s=HANG_S)
        never_repeat(origin)
        before = descendants()
        copying = asyncio.create_task(origin.fork())
        assert await eventually(
            lambda: len(started := descendants() - before) == 2 and in_one_family(started)
        )
        for process in descendants() - before:
            process.suspend()
        await assert_kernels_start()
        with pytest.raises(KernelError, match=f"{LATE}|{DEAF}"):
            await copying
        assert await eventually(lambda: descendants() <= before)


async def test_a_copy_that_never_answers_is_given_up_for_good() -> None:
    async with JupyterExecutor() as origin:
        await origin.run("kept = 5\n" + acting("genuine(); time.sleep(600)"), timeout_s=HANG_S)
        async with await origin.fork() as branch:  # its programs ran again
            assert (await branch.run("kept", timeout_s=HANG_S)).result == "5"
        never_repeat(origin)
        with pytest.raises(KernelError, match="an earlier copy of it never answered"):
            await origin.fork()
        assert (await origin.run("kept", timeout_s=HANG_S)).result == "5"


@pytest.mark.slow
@pytest.mark.parametrize("ambush", AMBUSHES, ids=lambda ambush: ambush.name)
async def test_a_branch_of_a_hostile_kernel_gets_nothing_over(ambush: Ambush) -> None:
    await assert_ambushes_fail([ambush])
