"""`solve --output`: nothing that was answered is lost; what can't be written to is refused before a model is asked."""

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.replay.server import serving
from mumath_agent.records import Completion, FinishReason, RunRecord, from_json
from mumath_agent.runs.locks import only_writer
from mumath_agent.testing import Recording, ReplayModel
from tests.programs import PROGRAM, Ended, mumath_agent
from tests.waiting import comes_true

NOBODY = "http://127.0.0.1:9"
"""Nothing listens there: whoever asks a model fails with another message and exit code 3."""
QUESTIONS = [f"Which number is {n}?" for n in range(6)]


def recording(question: str) -> Recording:
    answer = Completion(
        text=f"It is $\\boxed{{{question[16:-1]}}}$.",
        finish_reason=FinishReason.STOP,
        prompt_tokens=0,
        completion_tokens=0,
    )
    return Recording(question=question, turns=(answer,))


@pytest.fixture
def server() -> Iterator[str]:
    with serving(ReplayModel(recordings=[recording(each) for each in QUESTIONS])) as url:
        yield url


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    file = tmp_path / "problems.txt"
    file.write_text("\n".join(QUESTIONS))
    return file


def solve(problems: Path, output: Path | str, url: str = NOBODY, *more: str) -> Ended:
    return mumath_agent("solve", *arguments(problems, output, url), *more)


def arguments(problems: Path, output: Path | str, url: str) -> list[str]:
    return ["--file", str(problems), "--output", str(output), "--base-url", url, "--dialect", "fenced"]


def ids(output: Path) -> list[str]:
    return [from_json(RunRecord, json.loads(line)).problem.id for line in output.read_text().splitlines()]


def refused(ended: Ended, message: str) -> bool:
    return ended.code == 2 and len(ended.errors) == 1 and message in ended.stderr and not ended.stdout


@pytest.mark.parametrize("option", ["--output", "--checkpoint"])
def test_a_file_that_another_command_writes_to_is_refused(
    problems: Path, tmp_path: Path, option: str
) -> None:
    path, more = tmp_path / "held", []
    path.write_text("")
    output = path
    if option == "--checkpoint":
        output, more = tmp_path / "out.jsonl", ["--checkpoint", str(path)]
    with only_writer(path):
        assert refused(solve(problems, output, NOBODY, *more), f"{path} is in use by another command")
    assert path.read_text() == "" and not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("option", ["--output", "--checkpoint", "--csv"])
def test_what_can_not_be_written_is_said_before_a_server_is_started(
    problems: Path, tmp_path: Path, option: str
) -> None:
    """The model isn't looked for either, and there is no vLLM here: each of them would be another message."""
    path = tmp_path / "held"
    path.write_text("" if option != "--csv" else "not a table\n")
    more = {"--output": [], "--csv": [], "--checkpoint": ["--output", str(tmp_path / "out.jsonl")]}[option]
    asked = [
        "--file",
        str(problems),
        option,
        str(path),
        *more,
        "--serve",
        "no/such-model",
        "--vllm-python",
        "no",
    ]
    with only_writer(path):
        ended = mumath_agent("solve", *asked)
    said = "isn't a table of solve --csv" if option == "--csv" else f"{path} is in use by another command"
    assert refused(ended, said)
    assert path.exists() and not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("/dev/null", "a device"), ("/dev/full", "a device"), ("pipe", "a pipe"), ("folder", "a folder")],
)
@pytest.mark.parametrize("option", ["--output", "--checkpoint"])
def test_what_is_not_a_file_is_refused_at_once(
    problems: Path, tmp_path: Path, name: str, kind: str, option: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    path, out = tmp_path / name, tmp_path / "out.jsonl"
    more = ["--checkpoint", str(path)] if option == "--checkpoint" else []
    assert refused(solve(problems, out if more else path, NOBODY, *more), f"{path}, which is {kind}")
    assert not out.exists()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("to", ["pipe", "file"])
def test_the_programs_own_streams_are_refused(problems: Path, tmp_path: Path, stream: str, to: str) -> None:
    """`--output /dev/stdout | head` hung for ever; `--output r.jsonl > r.jsonl` mixed records with what is printed."""
    command = [*PROGRAM, "solve", *arguments(problems, f"/dev/{stream}", NOBODY)]
    said = tmp_path / "said"
    with said.open("wb") as file:
        target = subprocess.PIPE if to == "pipe" else file
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: target}
        done = subprocess.run(command, check=False, **streams)  # type: ignore[call-overload]
    text = ((done.stderr or b"") + said.read_bytes()).decode()
    assert done.returncode == 2 and f"can't write to /dev/{stream}" in text and text.count("\n") == 1


@pytest.mark.kernel
@pytest.mark.parametrize("failing", [["--base-url", NOBODY], ["--model", "m"]])
def test_a_start_that_fails_leaves_no_output(problems: Path, tmp_path: Path, failing: list[str]) -> None:
    output = tmp_path / "r.jsonl"
    ended = mumath_agent("solve", "--file", str(problems), "--output", str(output), *failing)
    assert ended.code in (2, 3) and len(ended.errors) == 1
    assert list(tmp_path.iterdir()) == [problems]


@pytest.mark.kernel
def test_a_disk_that_fills_up_keeps_what_was_answered_and_the_run_goes_on(
    problems: Path, tmp_path: Path, server: str
) -> None:
    output, whole = tmp_path / "r.jsonl", tmp_path / "whole.jsonl"
    assert solve(problems, whole, server).code == 0
    with largest_file(whole.stat().st_size * 2 // 3):
        ended = solve(problems, output, server)
    assert (
        ended.code == 2
        and len(ended.errors) == 1
        and f"can't write to {output}: File too large" in ended.stderr
    )
    kept = output.read_text().splitlines(keepends=True)
    kept = [line for line in kept if line.endswith("\n")]
    assert 0 < len(kept) < len(QUESTIONS)
    assert solve(problems, output, server).code == 0
    assert ids(output) == ids(whole)
    assert set(kept) <= set(output.read_text().splitlines(keepends=True))


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size`, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_sigterm_ends_a_command_that_waits_for_a_pipe_to_read_from(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    command = [*PROGRAM, "solve", "--file", str(tmp_path / "pipe")]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        writer = os.open(tmp_path / "pipe", os.O_WRONLY)  # returns when the command has opened it
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
        os.close(writer)
    assert process.returncode == 130 and said == b"interrupted\n"


@pytest.mark.kernel
@pytest.mark.parametrize("both", [False, True])
def test_sigterm_ends_a_command_whose_reader_has_stopped_reading(
    problems: Path, tmp_path: Path, server: str, both: bool
) -> None:
    output = tmp_path / "r.jsonl"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    command = [*PROGRAM, "solve", *arguments(problems, output, server), "--json"]
    stderr = writer if both else subprocess.DEVNULL
    with subprocess.Popen(command, stdout=writer, stderr=stderr) as process:
        if not both:  # else it can't even say which model it asks
            assert comes_true(lambda: output.exists() and output.stat().st_size > 0)
        else:
            assert comes_true(output.exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 130
    for end in (reader, writer):
        os.close(end)
