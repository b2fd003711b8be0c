"""Divide a file into cells, and run them with `mumath-agent python`, on real kernels.

The command is called in this process, but where signals, terminals, pipes or encodings matter.
"""

import fcntl
import os
import pty
import signal
import subprocess
import termios
import time
from array import array
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.kernels.script import split_cells
from tests.programs import PROGRAM, Ended, mumath_agent, mumath_agent_process

COMMAND = [*PROGRAM, "python"]
KEYS = ["status", "stdout", "stderr", "result", "error", "duration_s", "state_lost"]
LATER_KEYS = ["cell", "artefacts", "state_replayed", "edited", "stream_order", "isolation"]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", []),
        (" \n\n\t\n", []),
        ("# %%\n# %% only titles\n", []),
        ("1", [("", "1")]),
        ("1\n2\n", [("", "1\n2\n")]),
        ("1\n# %%\n2", [("", "1"), ("", "2")]),
        ("# %%\n1\n# %%\n2\n", [("", "1"), ("", "2\n")]),
        ("\n\n# %% One\n1", [("One", "1")]),
        ("# %%   One, two  \n1", [("One, two", "1")]),
        ("# %%\tOne\n1", [("One", "1")]),
        ("#%% One\n1\n#  %%\n2", [("One", "1"), ("", "2")]),
        ("# %% [markdown]\n# text\n# %%\n1", [("[markdown]", "# text"), ("", "1")]),
        ("1\n# %%\n\n# %%\n2", [("", "1"), ("", ""), ("", "2")]),
        ("\r\n1\r\n# %% One\r\n2\r\n", [("", "\n1"), ("One", "2\n")]),
        ("x = 1  # %%\n", [("", "x = 1  # %%\n")]),
        ("    # %%\n1", [("", "    # %%\n1")]),
        ("# %%time\n1", [("", "# %%time\n1")]),
        ("# %%% deeper\n1", [("", "# %%% deeper\n1")]),
        ("# % %\n1", [("", "# % %\n1")]),
        ("%%timeit\n1", [("", "%%timeit\n1")]),
    ],
)
def test_a_file_is_divided_at_its_marks(text: str, cells: list[tuple[str, str]]) -> None:
    assert [(cell.title, cell.code) for cell in split_cells(text)] == cells
    assert [cell.number for cell in split_cells(text)] == list(range(1, len(cells) + 1))


ANY_LINE = st.text(st.characters(exclude_characters="\r\n"))
CODE_LINES = st.lists(
    ANY_LINE.filter(lambda line: not line.lstrip("#").lstrip().startswith("%%")), min_size=1
)
TITLES = st.text(st.characters(exclude_characters="\r\n")).map(str.strip)


@given(st.lists(st.tuples(TITLES, CODE_LINES)))
def test_joined_cells_are_divided_into_the_same_again(cells: list[tuple[str, list[str]]]) -> None:
    text = "\n".join(line for title, lines in cells for line in (f"# %% {title}", *lines))
    joined = [(title, "\n".join(lines)) for title, lines in cells]
    found = [(cell.title, cell.code) for cell in split_cells(text)]
    assert found == (joined if any(code.strip() for _, code in joined) else [])


@given(st.lists(st.one_of(ANY_LINE, st.just("# %%"), TITLES.map("# %% {}".format))))
def test_no_line_of_code_is_lost_added_or_changed(lines: list[str]) -> None:
    kept = [line for cell in split_cells("\n".join(lines)) for line in cell.code.split("\n")]
    marks = ("# %%", "# %% ", "# %%\t", "#%%", "#\t%%")
    code = [line for line in lines if line.strip() and not line.startswith(marks)]
    assert [line for line in kept if line.strip()] == code


def python(*arguments: str, stdin: str | bytes = "", **environment: str) -> Ended:
    return mumath_agent("python", *arguments, stdin=stdin, **environment)


CELLS = """
x = 20
# %% What goes where
import sys
print("[bold]out[/bold] :smile:", end="")
print("err", file=sys.stderr)
x + 22
# %% Wrong
1 / 0
# %% Still run
print(x)
"""


@pytest.mark.kernel
def test_what_cells_print_is_printed_and_the_rest_is_said_beside(tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text(CELLS, encoding="utf-8")
    ended = mumath_agent_process("python", str(tmp_path / "cells.py"))
    assert ended.stdout == "[bold]out[/bold] :smile:\n42\n20\n"
    assert ended.stderr == (
        "isolation: full\nerr\ncell 3: line 1: 1 / 0\nZeroDivisionError: division by zero\n"
    )
    assert ended.code == 1


@pytest.mark.kernel
def test_json_is_one_line_a_cell_with_all_there_is_to_know() -> None:
    ended = python("-", "--json", stdin=CELLS)
    assert (ended.code, ended.stderr) == (1, "")
    cells = ended.objects()
    assert [list(cell) for cell in cells] == [KEYS + LATER_KEYS] * 4
    assert [cell["cell"] for cell in cells] == [1, 2, 3, 4]
    assert [cell["status"] for cell in cells] == ["ok", "ok", "error", "ok"]
    assert [cell["stdout"] for cell in cells] == ["", "[bold]out[/bold] :smile:", "", "20\n"]
    assert [cell["result"] for cell in cells] == [None, "42", None, None]
    assert cells[1]["stderr"] == "err\n"
    assert cells[2]["error"] == "line 1: 1 / 0\nZeroDivisionError: division by zero"
    assert {cell["isolation"] for cell in cells} == {"full"}
    assert not any(cell["state_lost"] or cell["state_replayed"] or cell["artefacts"] for cell in cells)
    assert all(cell["duration_s"] > 0 for cell in cells)


@pytest.mark.kernel
def test_without_a_file_stdin_is_read_and_all_well_is_code_0() -> None:
    assert python(stdin="6 * 7") == (0, "42\n", "isolation: full\n")
    assert python("-", stdin="print('né ')\n'✓'") == (0, "né \n'✓'\n", "isolation: full\n")


@pytest.mark.kernel
def test_a_terminal_is_read_to_its_end() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(COMMAND, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        os.close(theirs)
        os.write(ours, b"x = 6\n# %%\nx * 7\n\x04")
        stdout, stderr = running.communicate()
    os.close(ours)
    expected = (
        b"reading Python cells from the terminal; end with Ctrl-D on a line of its own\nisolation: full\n"
    )
    assert (running.returncode, stdout, stderr) == (0, b"42\n", expected)


@pytest.mark.kernel
def test_a_cell_that_takes_too_long_is_stopped_and_the_next_one_finds_its_state() -> None:
    cells = python("--json", "--timeout", "2", stdin="x = 5\n# %%\nwhile True: pass\n# %%\nx").objects()
    assert [cell["status"] for cell in cells] == ["ok", "timeout", "ok"]
    assert cells[1]["error"].endswith("the program ran longer than 2 s and was stopped")
    assert cells[2]["result"] == "5"


@pytest.mark.kernel
def test_a_cell_that_kills_its_kernel_is_told_and_the_next_one_finds_nothing() -> None:
    ended = python(stdin="import os\nx = 5\n# %%\nos._exit(3)\n# %%\n'x' in globals()")
    assert (ended.code, ended.stdout) == (1, "False\n")
    assert ended.stderr.splitlines()[1:] == [
        "cell 2: The Python process died while it ran this program (exit code 3).",
        "cell 2: the Python session was replaced; what was defined is gone",
    ]


@pytest.mark.kernel
def test_figures_are_told_of_and_printed_with_json() -> None:
    pytest.importorskip("matplotlib")
    draw = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])\nplt.show()"
    assert "cell 1: figures left out here: 1; --json has them\n" in python(stdin=draw).stderr
    (cell,) = python("--json", stdin=draw).objects()
    assert cell["artefacts"][0].startswith("data:image/png;base64,")


ATTACKS = [
    "open('/etc/passwd').read()",
    "import os\nos.listdir('/')",
    f"open({str(Path(__file__).resolve())!r}).read()",
    "import socket\nsocket.create_connection(('127.0.0.1', 22), 1)",
    "import urllib.request\nurllib.request.urlopen('http://example.org', timeout=1)",
    "import subprocess\nsubprocess.check_output(['id'])",
    "import os\nos.kill(1, 9)",
    "open('/tmp/mine', 'w').write('x')",
]


REFUSALS = ("PermissionError: ", "FileNotFoundError: ", "URLError: ", "Read-only file system")


@pytest.mark.kernel
@pytest.mark.parametrize("level", ["full", "landlock+seccomp"])
def test_cells_reach_nothing_of_ours(level: str) -> None:
    cells = python("--json", "--level", level, stdin="\n# %%\n".join(ATTACKS)).objects()
    assert {cell["isolation"] for cell in cells} == {level}
    for attack, cell in zip(ATTACKS, cells, strict=True):
        assert cell["status"] == "error", attack
        assert any(refusal in cell["error"] for refusal in REFUSALS), cell["error"]


@pytest.mark.kernel
def test_a_level_that_does_not_confine_is_had_by_insisting_and_warned_of_in_one_line() -> None:
    ended = python("--level", "none", "--unsafe-local", stdin="open('/etc/passwd').read(1)\n# %%\n1 / 0")
    assert (ended.code, ended.stdout.count("\n")) == (1, 1)
    warning, isolation, *errors = ended.stderr.splitlines()
    assert warning.startswith("warning: model-written programs run at isolation level 'none'. They can ")
    assert ".py:" not in warning and "UserWarning" not in ended.stderr
    assert isolation == "isolation: none"
    assert errors == ["cell 2: line 1: 1 / 0", "ZeroDivisionError: division by zero"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["no-such-file.py"], b"", "can't read no-such-file.py: No such file or directory"),
        (["."], b"", "can't read .: Is a directory"),
        ([], b"\x89PNG\r\n", "stdin isn't UTF-8 text (byte 0 is 0x89)"),
        ([], b"1\0", "stdin isn't text (it contains a zero byte)"),
        ([], b"", "stdin is empty: there is no cell to run"),
        (["-"], b"\n \n# %%\n", "stdin is empty: there is no cell to run"),
        (["--timeout", "0"], b"1", "--timeout is 0; it must be positive"),
        (["--timeout", "-3"], b"1", "--timeout is -3; it must be positive"),
        (["--timeout", "nan"], b"1", "--timeout is nan; it must be positive"),
        (
            ["--level", "docker"],
            b"1",
            "no level of isolation is called 'docker'; there are full, landlock+seccomp",
        ),
        (["--level", "none"], b"1", "level 'none' does not confine programs; --unsafe-local allows it"),
        (["--level", "rlimits-only"], b"1", "level 'rlimits-only' does not confine programs; --unsafe-local"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    arguments: list[str], stdin: bytes, message: str
) -> None:
    ended = python(*arguments, stdin=stdin)
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: {message}")
    assert ended.stderr.count("\n") == 1


@pytest.mark.kernel
def test_each_cell_is_shown_when_it_has_run() -> None:
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        assert running.stdin is not None and running.stdout is not None
        running.stdin.write(b"print('at once')\n# %%\nimport time\ntime.sleep(600)")
        running.stdin.close()
        assert running.stdout.readline() == b"at once\n"
        running.terminate()


@pytest.mark.kernel
def test_a_reader_that_has_gone_ends_it_without_a_traceback() -> None:
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None and running.stdout is not None and running.stderr is not None
        running.stdout.close()
        running.stdin.write(b"print('x' * 100)\n# %%\nimport time\ntime.sleep(600)")
        running.stdin.close()
        said = running.stderr.read()
        assert running.wait() in (1, 3)
    assert said == b"isolation: full\n"


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("code", "end"),
    [("import time\ntime.sleep(600)", signal.SIGINT), ("sum(range(10**12))", signal.SIGTERM)],
)
def test_however_it_is_ended_nothing_is_left(tmp_path: Path, code: str, end: signal.Signals) -> None:
    with subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as running:
        assert running.stdin is not None and running.stdout is not None and running.stderr is not None
        running.stdin.write(f"print('up')\n# %%\n{code}".encode())
        running.stdin.close()
        assert running.stdout.readline() == b"up\n"
        family = psutil.Process(running.pid).children(recursive=True)
        time.sleep(0.2)  # mostly enough for the second cell to begin; it may end at any moment
        running.send_signal(end)
        assert running.wait() == 130
        assert running.stderr.read() == b"isolation: full\ninterrupted\n"
    assert len(family) == 3
    assert psutil.wait_procs(family)[1] == []
    assert list(tmp_path.iterdir()) == []


def test_it_can_be_interrupted_while_it_reads() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdin is not None and running.stderr is not None
        running.stdin.write(b"1")
        running.stdin.flush()
        process, unread = psutil.Process(running.pid), array("i", [1])
        while unread[0] or process.status() != psutil.STATUS_SLEEPING:  # until it waits for more
            time.sleep(0.01)
            fcntl.ioctl(running.stdin, termios.FIONREAD, unread)
        running.send_signal(signal.SIGINT)
        assert running.wait() == 130
        assert running.stderr.read() == b"interrupted\n"


@pytest.mark.kernel
def test_output_that_knows_fewer_characters_gets_escapes() -> None:
    ended = mumath_agent("python", stdin="print('\\u221a2')", encoding="ascii")
    assert ended == (0, "\\u221a2\n", "isolation: full\n")


def test_help_says_what_is_done_with_what() -> None:
    ended = python("--help", COLUMNS="100")
    assert ended.code == 0
    for said in ("# %%", "after one that failed still", "no network", "--unsafe-local", "rlimits-only"):
        assert said in ended.stdout
