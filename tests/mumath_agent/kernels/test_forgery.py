"""Check that a program which says anything on its kernel's connection harms only its own session."""

import pytest
from outside import run

from mumath_agent.kernels import JupyterExecutor
from mumath_agent.records import ExecutionStatus

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

REACH = """
import sys, time
kernel = sys.stdout._publish.__closure__[0].cell_contents
shell, iopub = ([peer for peer in kernel._peers if peer.channel == name] for name in ("shell", "iopub"))
"""


async def test_messages_of_another_request_are_dropped(session: JupyterExecutor) -> None:
    forge = """
for parent in ({}, {"msg_id": "other"}, {"msg_id": None}, {"msg_id": ["x"]}):
    kernel._send(iopub, "stream", {"name": "stdout", "text": "forged"}, parent, topic=b"stream")
    kernel._send(iopub, "execute_result", {"data": {"text/plain": "forged"}}, parent, topic=b"x")
    kernel._send(iopub, "status", {"execution_state": "idle"}, parent, topic=b"status")
    kernel._send(shell, "execute_reply", {"status": "ok"}, parent)
time.sleep(0.5)
print("mine")
"""
    execution = await run(session, REACH + forge)
    assert (execution.status, execution.stdout, execution.result) == (ExecutionStatus.OK, "mine\n", None)
    assert not execution.state_lost


async def test_messages_of_any_shape_do_no_harm(session: JupyterExecutor) -> None:
    forge = """
shapes = [{"name": [], "text": {}}, {"name": "stdin", "text": "x"}, {"data": 3}, {"data": {"text/plain": 3}}]
shapes += [{"data": {"image/png": 3}}, {"data": {"image/png": "<svg>"}}, {"execution_state": 7}, {}]
for content in shapes:
    for kind in ("stream", "display_data", "execute_result", "status", "comm_open", "no_such_kind"):
        kernel._send(iopub, kind, content, kernel._parent, topic=b"x")
print("mine")
"""
    execution = await run(session, REACH + forge)
    assert (execution.status, execution.stdout.split()[-1]) == (ExecutionStatus.OK, "mine")
    assert (execution.artefacts, execution.state_lost) == ((), False)
    assert (await run(session, "print('next')")).stdout == "next\n"


@pytest.mark.parametrize("content", [{"traceback": "no list"}, {"traceback": [3, None]}, {}, {"ename": []}])
async def test_an_error_of_any_shape_is_an_error(
    session: JupyterExecutor, content: dict[str, object]
) -> None:
    forge = f"kernel._send(iopub, 'error', {content!r}, kernel._parent, topic=b'error')\nprint('mine')"
    execution = await run(session, REACH + forge)
    assert (execution.status, execution.stdout) == (ExecutionStatus.ERROR, "mine\n")
    assert not execution.state_lost


async def test_frames_that_are_no_message_are_dropped(session: JupyterExecutor) -> None:
    forge = """
def wire(frames):
    last = len(frames) - 1
    return b"".join(bytes((n < last, len(frame))) + frame for n, frame in enumerate(frames))

wrong = b'{"header": 1}'
for peer in kernel._peers:
    for frames in ([b""], [b"junk"], [b"<IDS|MSG>"], [b"x", b"<IDS|MSG>", b"wrong", wrong, wrong, wrong, wrong]):
        peer.socket.sendall(wire(frames))
    for part in (b"3", b"[]", b"{", b"\\xff", b"[" * 200):
        parts = [part, b"{}", b"{}", b"{}"]
        peer.socket.sendall(wire([b"<IDS|MSG>", kernel._signer._signature(parts), *parts]))
print("mine")
"""
    execution = await run(session, REACH + forge)
    assert (execution.status, execution.stdout, execution.state_lost) == (
        ExecutionStatus.OK,
        "mine\n",
        False,
    ), execution.error


async def test_what_is_not_the_protocol_costs_the_session_and_no_more(session: JupyterExecutor) -> None:
    execution = await run(session, REACH + "iopub[0].socket.sendall(b'\\xff' * 100)\ntime.sleep(600)")
    assert (execution.status, execution.state_lost) == (ExecutionStatus.DIED, True)
    assert (await run(session, "print('mine')")).stdout == "mine\n"


NOISE = "'\\x1b[2J\\x1b]0;t\\x07\\x00\\u202e\\u200b\\U000e0041' * 100_000"
SAYS_NOISE = {
    "a refusal": "body = b'\\x05ERROR\\xff' + noise.encode()\n"
    "iopub[0].socket.sendall(b'\\x06' + len(body).to_bytes(8, 'big') + body)\ntime.sleep(600)",
    "an error": "kernel._send(iopub, 'error', {'traceback': [noise, noise]}, kernel._parent, topic=b'error')",
    "an error without lines": "kernel._send(iopub, 'error', {'ename': noise, 'evalue': noise}, kernel._parent, "
    "topic=b'error')",
    "a reply": "kernel._send(shell, 'execute_reply', {'status': 'error', 'ename': noise, 'evalue': noise}, "
    "kernel._parent)",
    "kinds of messages": "kernel._send(iopub, noise, {'data': {noise: noise}}, kernel._parent, topic=b'x')\n1 / 0",
    "figures": "kernel._send(iopub, 'display_data', {'data': {'image/png': noise}}, kernel._parent, topic=b'x')\n1 / 0",
    "names of errors": "raise type(noise, (Exception,), {})(noise)",
    "a stream": "kernel._send(iopub, 'stream', {'name': 'stderr', 'text': noise}, kernel._parent, topic=b'x')\n1 / 0",
}


@pytest.mark.parametrize("code", SAYS_NOISE.values(), ids=SAYS_NOISE.keys())
async def test_every_text_that_comes_from_a_kernel_is_cleaned_and_bounded(
    session: JupyterExecutor, code: str
) -> None:
    execution = await run(session, f"{REACH}noise = {NOISE}\n{code}")
    assert execution.status in (ExecutionStatus.ERROR, ExecutionStatus.DIED)
    assert execution.error
    shown = f"{execution.stdout}{execution.stderr}{execution.error}"
    assert len(shown) < 2_000_000
    assert not set("\x1b\x07\x00\u202e\u200b\U000e0041") & set(shown)
    assert (await run(session, "print('mine')")).stdout == "mine\n"


@pytest.mark.parametrize("kind", ["status", "execute_reply"])
async def test_a_session_that_loses_messages_is_not_trusted_any_more(
    session: JupyterExecutor, kind: str
) -> None:
    lose = f"send = kernel._send\nkernel._send = lambda to, kind, *a, **k: kind == {kind!r} or send(to, kind, *a, **k)"
    execution = await run(session, f"{REACH}{lose}\nprint('lost')")
    assert (execution.status, execution.state_lost) == (ExecutionStatus.DIED, True)
    assert execution.error == "The Python process died while it ran this program (lost messages)."
    assert (await run(session, "print('mine')")).stdout == "mine\n"


async def test_a_kernel_that_falls_silent_is_replaced(impatient_session: JupyterExecutor) -> None:
    session = impatient_session
    await run(session, "kept = 1")
    execution = await run(session, f"{REACH}kernel._send = lambda *a, **k: None", timeout_s=0.5)
    assert (execution.status, execution.state_lost) == (ExecutionStatus.TIMEOUT, True)
    assert (await run(session, "print('kept' in globals())")).stdout == "False\n"


async def test_a_program_that_says_too_early_it_has_ended_gets_nothing_into_the_next_cell(
    session: JupyterExecutor,
) -> None:
    early = """
kernel._send(shell, "execute_reply", {"status": "ok"}, kernel._parent)
kernel._send(iopub, "status", {"execution_state": "idle"}, kernel._parent, topic=b"status")
time.sleep(0.5)
print("late")
1 / 0
"""
    execution = await run(session, REACH + early)
    assert (execution.status, execution.stdout) == (ExecutionStatus.OK, "")
    following = await run(session, "print('mine')")
    assert (following.status, following.stdout, following.error) == (ExecutionStatus.OK, "mine\n", None)


@pytest.mark.parametrize(
    "close", ["shell[0].socket.close()", "iopub[0].socket.close()", "os.closerange(3, 256)"]
)
async def test_a_kernel_whose_connection_was_closed_is_replaced(session: JupyterExecutor, close: str) -> None:
    await run(session, "import os\nkept = 1")
    first = await run(session, f"{REACH}{close}\nprint('said')")
    following = await run(session, "print('kept' in globals())")
    assert first.status in (ExecutionStatus.OK, ExecutionStatus.DIED)
    assert (following.status, following.stdout) == (ExecutionStatus.OK, "False\n")
    assert first.state_lost or following.state_lost
