"""Check what a program prints, shows and draws: whose it is, how much of it is kept, what of it is let through."""

import asyncio
import base64

import pytest
from images import png
from misbehaving import PIXEL
from outside import HOLDS_THE_INTERPRETER, run

from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.kernels.messages import MAX_ARTEFACTS, MAX_TURNS, MAX_UNPACKED_BYTES, NO_FIGURE
from mumath_agent.records import ExecutionStatus

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

FLOODS = [
    ("for _ in range(10_000):\n    print('spam' * 100)\nraise ValueError('enough')", "ValueError: enough"),
    # Descriptor 1 is a file of limited size.
    ("import os\nwhile True:\n    os.write(1, b'spam' * 1000)", "OSError: [Errno 27] File too large"),
]


@pytest.mark.parametrize(("code", "error"), FLOODS)
async def test_a_flood_of_output_is_bounded_and_says_so(
    session: JupyterExecutor, code: str, error: str
) -> None:
    execution = await run(session, code)
    assert execution.error is not None
    assert execution.error.endswith(error)
    assert 200_000 < len(execution.stdout) < 300_000
    assert "characters left out ...]" in execution.stdout
    assert not execution.state_lost
    assert (await run(session, "print('mine')")).stdout == "mine\n"


async def test_long_output_keeps_its_head_and_its_tail(session: JupyterExecutor) -> None:
    lines = "".join(f"{n}\n" for n in range(60_000))
    stdout = (await run(session, "for n in range(60_000): print(n)")).stdout
    head, tail = stdout.split(f"\n[... {len(lines) - (1 << 18)} characters left out ...]\n")
    assert lines.startswith(head)
    assert lines.endswith(tail)
    whole = (await run(session, "for n in range(40_000): print(n)")).stdout
    assert whole == lines[: len(whole)]
    assert whole.endswith("\n39999\n")
    assert len((await run(session, "'y' * 10**6")).result or "") < 300_000
    assert len((await run(session, "for _ in range(3): display(10**4000)")).stdout) == 3 * 4002


async def test_how_much_is_kept_is_the_sandboxs_to_say() -> None:
    async with JupyterExecutor(Sandbox(max_output_chars=100)) as executor:
        execution = await run(executor, "for n in range(1000): print(n)\n'y' * 1000")
    assert execution.stdout.startswith("0\n1\n2\n")
    assert execution.stdout.endswith("\n998\n999\n")
    assert len(execution.stdout) < 200
    assert len(execution.result or "") < 200


async def test_what_goes_to_the_descriptors_directly_is_the_cells_too(session: JupyterExecutor) -> None:
    code = (
        "import ctypes, os\nos.write(1, b'one\\n')\nos.write(2, b'two\\n')\n"
        "libc = ctypes.CDLL(None)\nlibc.puts(b'three')\n_ = libc.fflush(None)"
    )
    execution = await run(session, code)
    assert (execution.stdout, execution.stderr) == ("one\nthree\n", "two\n")
    assert (await run(session, "print('next')")).stdout == "next\n"


@pytest.mark.filterwarnings("ignore:model-written programs run at:UserWarning")
async def test_children_write_to_the_cell_too_where_there_may_be_any() -> None:
    async with JupyterExecutor(Sandbox(layers=frozenset(), unsafe_local=True, preload=())) as executor:
        code = "import subprocess\n_ = subprocess.run('echo child; sleep 0.2', shell=True)"
        assert (await run(executor, code)).stdout == "child\n"


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess\nsubprocess.run(['echo', 'child'])",
        "import subprocess\nsubprocess.run('echo child', shell=True)",
        "import os\nos.fork()",
        "import os\nos.posix_spawn('/bin/sh', ['sh'], {})",
        "import os\nos.execv('/bin/sh', ['sh'])",
        "import multiprocessing\nmultiprocessing.get_context('fork').Process(target=print).start()",
    ],
)
async def test_a_confined_program_is_refused_children_and_other_programs(
    session: JupyterExecutor, code: str
) -> None:
    execution = await run(session, code)
    assert execution.stdout == ""
    assert execution.error is not None
    assert "PermissionError: [Errno 1] Operation not permitted" in execution.error
    assert not execution.state_lost


async def test_what_was_printed_is_kept_when_the_kernel_is_killed(impatient_session: JupyterExecutor) -> None:
    session = impatient_session
    code = f"print('x =', 42)\nprint('y =', 43)\n{HOLDS_THE_INTERPRETER}"
    execution = await run(session, code, timeout_s=2)  # time enough to print
    assert (execution.status, execution.state_lost) == (ExecutionStatus.TIMEOUT, True)
    assert execution.stdout == "x = 42\ny = 43\n"


async def test_text_that_is_no_valid_unicode_passes_as_escapes(session: JupyterExecutor) -> None:
    assert (await run(session, "print('a\\ud800b')")).stdout == "a\\ud800b\n"
    assert (await run(session, "print('\ud800')")).stdout == "?\n"
    assert (await run(session, "import os\n_ = os.write(1, b'a\\xffb')")).stdout == "a\\xffb"


SHOWS = [
    ("print({!r})", "stdout"),
    ("import sys\nprint({!r}, file=sys.stderr)", "stderr"),
    ("class A:\n    def __repr__(self):\n        return {!r}\ndisplay(A())", "stdout"),
    ("class A:\n    def __repr__(self):\n        return {!r}\nA()", "result"),
    ("raise ValueError({!r})", "error"),
]


@pytest.mark.parametrize(("code", "where"), SHOWS)
async def test_what_can_not_be_seen_is_taken_out(session: JupyterExecutor, code: str, where: str) -> None:
    unseen = "\x00\x07\x08\x1b\x7f\x9b\u061c\u200e\u200f\u202a\u202b\u202d\u202e\u2066\u2069"
    execution = await run(session, code.format(f"1\t{unseen}2\u00e9"))
    shown = getattr(execution, where)
    assert shown is not None
    assert "1\t2\u00e9" in shown
    assert not set(unseen) & set(shown)


@pytest.mark.parametrize("code", ["print('12', end='\\r')\nprint('34')", "print('12\\r34')"])
async def test_a_carriage_return_glues_no_numbers_together(session: JupyterExecutor, code: str) -> None:
    stdout = (await run(session, code)).stdout
    assert "12" in stdout and "34" in stdout
    assert "1234" not in stdout


async def test_a_thread_that_outlives_its_cell_prints_to_no_other(session: JupyterExecutor) -> None:
    late = "import threading, time\ndef late():\n    time.sleep(0.3)\n    print('late')\n"
    execution = await run(session, late + "threading.Thread(target=late).start()\nprint('early')")
    assert execution.stdout == "early\n"
    assert (await run(session, "time.sleep(0.6)\nprint('mine')")).stdout == "mine\n"


LATE = {
    "prints": "print('answer 999')",
    "errors": "print('answer 999', file=sys.stderr)",
    "writes": "os.write(1, b'answer 999'); os.write(2, b'answer 999')",
    "displays": "display('answer 999')",
    "figures": "display({'image/png': '" + PIXEL + "', 'text/plain': 'answer 999'}, raw=True)",
    "publishes": "get_ipython().publish('execute_result', {'data': {'text/plain': 'answer 999'}})",
    "fails": "get_ipython().publish('error', {'traceback': ['answer 999']})",
}


@pytest.mark.parametrize(
    "start", ["threading.Thread(target=late).start()", "_thread.start_new_thread(late, ())"]
)
@pytest.mark.parametrize("act", LATE.values(), ids=LATE.keys())
async def test_nothing_late_is_mixed_into_the_next_answer(
    session: JupyterExecutor, act: str, start: str
) -> None:
    """Neither what comes between two cells nor what comes while the next one runs."""
    late = "import _thread, os, sys, threading, time\ndef late():\n    time.sleep(0.2)\n    for _ in range(60):\n"
    await run(session, f"{late}        time.sleep(0.005)\n        {act}\n_ = {start}")
    await asyncio.sleep(0.25)
    following = [await run(session, f"time.sleep({pause})\nprint('mine')") for pause in (0.05, 0.3)]
    for execution in following:
        assert "999" not in f"{execution.stdout}{execution.stderr}{execution.result}{execution.error}"
        assert (execution.stdout[:5], execution.artefacts) == ("mine\n", ())
    await run(session, "while _thread._count(): time.sleep(0.01)")
    assert (await run(session, "import os\n_ = os.write(1, b'mine')")).stdout == "mine"


async def test_a_running_thread_prints_to_its_own_cell(session: JupyterExecutor) -> None:
    pool = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as pool:\n"
    assert (await run(session, pool + "    _ = list(pool.map(print, 'a'))")).stdout == "a\n"


DRAWS = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])\n"


@pytest.mark.parametrize("code", [f"{DRAWS}plt.show()", f"{DRAWS}plt.gcf()", DRAWS])
async def test_a_figure_is_an_artefact(session: JupyterExecutor, code: str) -> None:
    pytest.importorskip("matplotlib")
    execution = await run(session, code)
    assert execution.status is ExecutionStatus.OK, execution.error
    assert execution.artefacts
    kind, data = execution.artefacts[0].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data, validate=True).startswith(b"\x89PNG")
    assert (await run(session, "plt.close('all')")).artefacts == ()


async def test_figures_are_bounded_and_nothing_else_is_taken_for_one(session: JupyterExecutor) -> None:
    small = f"display({{'image/png': '{PIXEL}', 'text/plain': 'mine'}}, raw=True)"
    execution = await run(
        session, f"for _ in range(3): {small}\nfrom IPython.display import HTML\ndisplay(HTML('<b>'))"
    )
    assert execution.status is ExecutionStatus.OK, execution.error
    assert execution.artefacts == (f"data:image/png;base64,{PIXEL}",) * 3
    execution = await run(session, f"for _ in range(1000): {small}")
    assert execution.artefacts == (f"data:image/png;base64,{PIXEL}",) * MAX_ARTEFACTS
    assert execution.stdout == "mine\n" * (MAX_ARTEFACTS + 1) + NO_FIGURE + "mine\n" * (999 - MAX_ARTEFACTS)


async def test_the_pixels_of_a_cells_figures_are_bounded(session: JupyterExecutor) -> None:
    """Small files that stand for large images: checking them all would keep our loop to itself."""
    large = base64.b64encode(png(3000, 2400)).decode()
    execution = await run(
        session, f"large = '{large}'\nfor _ in range(20): display({{'image/png': large}}, raw=True)"
    )
    assert len(execution.artefacts) == MAX_UNPACKED_BYTES // (2400 * (1 + 3000 * 4))
    assert execution.stdout.count(NO_FIGURE) == 1


NO_FIGURES = [
    "'https://example.org/'",
    "'../../etc/passwd'",
    "base64.b64encode(b'<script>alert(1)</script>').decode()",
    "base64.b64encode(b'\\x89PNG\\r\\n\\x1a\\n<script>').decode()",
    "base64.b64encode(b'\\x89PNG' + bytes(1 << 20))",
]


@pytest.mark.parametrize("image", NO_FIGURES)
async def test_a_figure_that_is_none_is_dropped_with_a_word(session: JupyterExecutor, image: str) -> None:
    shown = f"import base64\ndisplay({{'image/png': {image}, 'text/plain': 'mine'}}, raw=True)"
    execution = await run(session, shown)
    assert (execution.stdout, execution.artefacts) == (f"mine\n{NO_FIGURE}", ())


PRINTS_IN_TURN = (
    "import sys\nprint('a', end='')\nprint('b', file=sys.stderr)\nprint('c')\nprint('d', file=sys.stderr)"
)
LOGS = "import logging\nprint(1)\nlogging.warning('2')\nprint(3)"
FIRST_STDERR = "import sys\nprint('e', file=sys.stderr)\nprint('o')"


@pytest.mark.parametrize(
    ("code", "order"),
    [
        (PRINTS_IN_TURN, (("stdout", 1), ("stderr", 2), ("stdout", 2), ("stderr", 2))),
        (LOGS, (("stdout", 2), ("stderr", 15), ("stdout", 2))),
        (FIRST_STDERR, (("stderr", 2), ("stdout", 2))),
        ("import sys\nprint('o')\nprint('e', file=sys.stderr)", ()),
        ("print(1)\nprint(2)", ()),
    ],
    ids=["in turn", "logging", "stderr first", "stdout first", "one stream"],
)
async def test_both_streams_keep_their_order(session: JupyterExecutor, code: str, order: object) -> None:
    execution = await run(session, code)
    assert execution.stream_order == order


async def test_the_order_of_a_flood_is_bounded(session: JupyterExecutor) -> None:
    flood = "import sys\nfor n in range(5000):\n    print(n)\n    print(-n, file=sys.stderr)"
    execution = await run(session, flood)
    assert len(execution.stream_order) <= MAX_TURNS
    assert execution.stream_order[:2] == (("stdout", 2), ("stderr", 2))
    assert execution.stdout == "".join(f"{n}\n" for n in range(5000))
