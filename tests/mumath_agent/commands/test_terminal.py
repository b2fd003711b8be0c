"""What a person sees at a terminal: whole lines, whatever bar or spinner moves meanwhile; and what is asked for."""

import json
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.programs import PROGRAM
from tests.terminals import Shown, at_terminal
from tests.toy import WITH_TOY

pytestmark = pytest.mark.kernel

_BAR = re.compile("[━╸╺]")
_SPINNER = re.compile("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")


def solve(*arguments: str, **options: object) -> Shown:
    return at_terminal([*PROGRAM, "solve", *WITH_TOY, *arguments], **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("problems") / "p.txt"
    file.write_text("".join(f"What is {n} plus {n + 3}?\n" for n in range(10, 16)))
    return file


@pytest.fixture(scope="module")
def solved(problems: Path) -> tuple[Shown, Path]:
    output = problems.with_name("r.jsonl")
    return solve("--file", str(problems), "--output", str(output), "--concurrency", "2"), output


def test_results_of_a_file_stand_on_lines_of_their_own(solved: tuple[Shown, Path]) -> None:
    shown, output = solved
    results = [line for line in shown.screen if "nswer:" in line]
    assert len(results) == len(output.read_text().splitlines()) == 6
    assert all(re.fullmatch(r"line-\d+: (Answer|No answer): [^━]*", line) for line in results)
    assert [line for line in shown.screen if line.startswith("6 problems: ")]
    assert sum(bool(_BAR.search(line)) for line in shown.screen) <= 1


@pytest.mark.slow
def test_a_replay_too(solved: tuple[Shown, Path]) -> None:
    shown = at_terminal([*PROGRAM, "replay", str(solved[1])])
    lines = [line for line in shown.screen if "cells give the same" in line]
    assert shown.code == 0 and len(lines) == 6
    assert all(re.fullmatch(r"line-\d+: \d+ of \d+ cells give the same", line) for line in lines)


def test_what_goes_to_a_file_is_whole_and_none_of_it_is_on_the_terminal(
    solved: tuple[Shown, Path], tmp_path: Path
) -> None:
    shown = solve(
        "--file", str(solved[1].with_name("p.txt")), "--output", str(solved[1]), stdout=tmp_path / "o"
    )
    answers = [line for line in shown.stdout.splitlines() if "nswer: " in line]
    assert len(answers) == 6 and "\x1b" not in shown.stdout
    assert not [line for line in shown.screen if "nswer:" in line]


@pytest.mark.slow
def test_the_doctor_and_its_spinner() -> None:
    shown = at_terminal([*PROGRAM, "doctor"], columns=200)
    found = [line for line in shown.screen if re.search(r"\b(ok|warn|fail|skipped)  ", line)]
    assert len(found) > 5 and all(re.match(r"(ok|warn|fail|skipped) ", line) for line in found)
    assert not [line for line in shown.screen if _SPINNER.search(line)]


def test_warnings_and_results_keep_out_of_the_way_of_any_bar_or_spinner() -> None:
    program = (
        "import time, warnings, sys\n"
        "from mumath_agent.commands import console\n"
        "warnings.showwarning = console.warn; warnings.simplefilter('always')\n"
        "for live in (console.progress_bar('working'), console.stderr.status('working')):\n"
        "    with live:\n"
        "        if hasattr(live, 'add_task'): live.add_task('', total=9)\n"
        "        time.sleep(0.3)\n"
        "        console.show('result'), console.stdout().print('table'), console.remark('remark')\n"
        "        warnings.warn('careful'); print('printed'); console.print_json([1])\n"
    )
    shown = at_terminal([sys.executable, "-c", program])
    said = [line for line in shown.screen if line and not _BAR.search(line)]
    assert said == ["result", "table", "remark", "warning: careful", "printed", "[", " 1", "]"] * 2


class _BreaksOff(BaseHTTPRequestHandler):
    """A server that begins to answer, breaks the connection off, and then refuses to answer."""

    refuses = False

    def do_GET(self) -> None:
        self._begin("application/json")
        self.wfile.write(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if _BreaksOff.refuses:
            self.send_error(400)
            return
        _BreaksOff.refuses = True
        self._begin("text/event-stream")
        chunk = {"choices": [{"index": 0, "text": "The", "finish_reason": None}]}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def broken_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _BreaksOff) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_an_error_after_half_a_line_begins_a_new_one(broken_server: str) -> None:
    options = ("--base-url", broken_server, "--dialect", "fenced", "--model", "m")
    shown = at_terminal([*PROGRAM, "solve", "q", *options], columns=200)
    assert shown.code == 3
    assert "The" in shown.screen
    assert [line for line in shown.screen if line.startswith("error: ")]


def test_an_error_of_a_cell_begins_a_line_whatever_was_printed_before(tmp_path: Path) -> None:
    cells = tmp_path / "cells.py"
    cells.write_text(
        "print('The', end='')\n1/0\n# %%\nimport sys; print('Then', end='', file=sys.stderr)\n1/0\n"
    )
    shown = at_terminal([*PROGRAM, "python", str(cells)])
    assert {"The", "Then", "cell 1: line 2: 1/0", "cell 2: line 2: 1/0"} <= set(shown.screen)


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        ([], "Question: "),
        pytest.param(
            ["-"],
            "reading the question from the terminal; end with Ctrl-D on a line of its own",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--file", "-"],
            "reading problems from the terminal; end with Ctrl-D on a line of its own",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_terminal_is_told_what_is_waited_for(arguments: list[str], asks: str) -> None:
    end = [] if asks == "Question: " else [("3 + 4", "\x04")]
    shown = solve(*arguments, typed=[(asks, "What is 3 + 4?\n"), *end])
    assert shown.code == 0
    assert [line for line in shown.screen if line.endswith("Answer: 7")]
    assert [line for line in shown.screen if line.startswith(asks.strip())]


@pytest.mark.parametrize("typed", ["\n", "\x04", "\x03"])
def test_nothing_typed_is_one_line(typed: str) -> None:
    shown = at_terminal(["setsid", "--ctty", *PROGRAM, "solve"], typed=[("Question: ", typed)])
    assert shown.code == (130 if typed == "\x03" else 2)
    # The terminal itself writes ^C, a little earlier or later.
    said = [line.removeprefix("^C") for line in shown.screen]
    assert {"error: the question is empty", "interrupted"} & set(said)
    assert not [line for line in shown.screen if "Traceback" in line]
