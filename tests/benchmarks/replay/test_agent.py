"""Recorded completions go through the real agent, as a model and behind a real server.

By day the first solutions of each published file are run again; all of them are slow.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from benchmarks.data import DATA
from benchmarks.replay.agent import replay_agent, replay_model
from benchmarks.replay.recordings import RecordedSolution, Runtime, load_recorded
from benchmarks.replay.server import serving
from benchmarks.runs import load_run
from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.answers import extract_answer
from mumath_agent.errors import InputError, ModelRefused
from mumath_agent.grading import Grader
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.protocols import CompletionRequest
from mumath_agent.records import (
    Outcome,
    Problem,
    RunRecord,
    StopReason,
)
from mumath_agent.testing import ReplayModel
from mumath_agent.transcript import Transcript
from tests.programs import call

CHECKOUT = Path(__file__).resolve().parents[3]


def tora(number: int, target: str = "5", text: str = "It is $\\boxed{5}$.") -> dict[str, Any]:
    solution = f"```python\nprint({number})\n```\n```output\n{number}\n```\n{text}"
    return {"idx": number, "question": f"Question {number}?", "gt": target, "code": [solution], "pred": ["5"]}


def mathcoder(completion: str, *contents: tuple[str, str]) -> dict[str, Any]:
    blocks = [{"role": role, "content": content} for role, content in (("user", "How many?"), *contents)]
    return {"ground_truth": {"answer": 137}, "debug_result": blocks, "completion": completion}


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def solutions_of(path: Path) -> list[RecordedSolution]:
    return [item for item in load_recorded(path) if isinstance(item, RecordedSolution)]


def replayed(path: Path, out: Path | None = None) -> list[RunRecord]:
    async def run() -> list[RunRecord]:
        async with Grader() as grader:
            return await replay_agent(
                solutions_of(path), source=path, timeout_s=10, concurrency=2, grader=grader, out=out
            )

    return anyio.run(run)


def command(*arguments: str | Path, code: int = 0) -> Any:
    done = call("benchmarks", "replay", *arguments, "--json")
    assert done.code == code, done.stderr
    return json.loads(done.stdout)


@pytest.mark.kernel
def test_a_recorded_solution_is_solved_again_by_the_real_agent(tmp_path: Path) -> None:
    wrong = tora(7, target="7")
    right, other = replayed(written(tmp_path / "a.jsonl", tora(6), wrong))
    assert right.verdict is not None and right.verdict.outcome is Outcome.CORRECT
    assert other.verdict is not None and other.verdict.outcome is Outcome.INCORRECT
    assert [execution.stdout for execution in right.trajectory.executions] == ["6\n"]
    assert right.trajectory.transcript.text == tora(6)["code"][0]
    assert right.settings.fresh_cells


@pytest.mark.kernel
def test_mathcoders_programs_share_a_session_and_its_answer_is_the_last_block(tmp_path: Path) -> None:
    boxes = "You sold \\boxed{137} and \\boxed{388}."
    turns = (("code", "x = 137"), ("execution", ""), ("code", "x"), ("execution", "137"))
    file = written(tmp_path / "a.jsonl", mathcoder("137", *turns, ("text", boxes), ("text", "137")))
    (record,) = replayed(file)
    assert record.trajectory.executions[1].result == "137"
    assert record.verdict is not None and record.verdict.outcome is Outcome.CORRECT
    answer = extract_answer(record.trajectory.transcript)
    assert answer is not None and answer.text == "388"  # the ordinary rule takes the last box


@pytest.mark.kernel
def test_a_recording_that_broke_off_has_no_answer(tmp_path: Path) -> None:
    (record,) = replayed(
        written(tmp_path / "a.jsonl", mathcoder("137", ("code", "137"), ("execution", "137")))
    )
    assert record.trajectory.stop_reason is StopReason.MAX_TOKENS
    assert len(record.trajectory.executions) == 1
    assert record.verdict is not None and record.verdict.outcome is Outcome.NO_ANSWER


@pytest.mark.kernel
def test_what_was_replayed_can_be_replayed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = replayed(written(tmp_path / "a.jsonl", tora(6), tora(7)), out)
    again = solutions_of(out)
    assert [each.runtime for each in again] == [Runtime.MUMATH] * 2
    assert [each.cells[0].output for each in again] == ["6", "7"]
    assert [each.answer for each in again] == ["5", "5"]
    assert [each.turns for each in again] == [record.trajectory.completions for record in first]
    second = replayed(out)
    assert [r.trajectory.transcript for r in second] == [r.trajectory.transcript for r in first]
    report = command(out, "--mode", "agent")
    assert (report["accuracy"], report["published"], report["agreement"]) == (100.0, 100.0, 1.0)


@pytest.mark.kernel
def test_recordings_of_one_question_are_not_mixed_up(tmp_path: Path) -> None:
    rows = [tora(n) | {"question": "The same?"} for n in range(5)]
    records = replayed(written(tmp_path / "a.jsonl", *rows))
    assert [record.trajectory.transcript.text for record in records] == [row["code"][0] for row in rows]


@pytest.mark.kernel
def test_a_replay_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    file, out = written(tmp_path / "a.jsonl", *map(tora, range(3))), tmp_path / "out"
    replayed(file, out)
    attempts = out / "attempts.jsonl"
    lines = attempts.read_bytes().splitlines(keepends=True)
    attempts.write_bytes(lines[0] + lines[1] + lines[2][:50])
    replayed(file, out)
    resumed = attempts.read_bytes().splitlines(keepends=True)
    assert resumed[:2] == lines[:2] and len(resumed) == 3
    assert [record.problem.id for record in load_run(out).records] == ["tora:0", "tora:1", "tora:2"]
    with pytest.raises(InputError, match="name another folder"):
        replayed(written(tmp_path / "a.jsonl", *map(tora, range(1, 4))), out)


def test_recordings_made_with_different_settings_are_not_mixed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", tora(6), mathcoder("5", ("text", "5")))
    with pytest.raises(InputError, match="other settings"):
        replay_model(solutions_of(path))


@pytest.mark.kernel
def test_the_command_states_why_verdicts_differ(tmp_path: Path) -> None:
    said_otherwise = tora(6, text="It is $\\boxed{9}$.")
    prints_otherwise = tora(7, text="")
    prints_otherwise["code"] = ["```python\nprint(7)\n```\n```output\n5\n```\n"]
    broken_off = tora(8)
    broken_off["code"] = [broken_off["code"][0].removesuffix("It is $\\boxed{5}$.")]
    file = written(tmp_path / "a.jsonl", tora(5), said_otherwise, prints_otherwise, broken_off)
    report = command(file, "--mode", "agent", code=1)  # a cell differs without explanation
    assert (report["mode"], report["accuracy"], report["published"]) == ("agent", 25.0, 100.0)
    assert (report["cells"], report["cells_equal"], report["counts"]["ours"]) == (4, 3, 1)
    assert [(flip["id"], flip["why"], flip["our_answer"]) for flip in report["flips"]] == [
        ("tora:6", "extraction", "9"),
        ("tora:7", "recording broke off", None),
        ("tora:8", "recording broke off", None),
    ]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[ReplayModel, str]]:
    model = replay_model(solutions_of(written(tmp_path / "a.jsonl", *map(tora, range(3)))))
    with serving(model) as url:
        yield model, url


@pytest.mark.anyio
@pytest.mark.kernel
async def test_our_own_client_solves_problems_with_the_server(served: tuple[ReplayModel, str]) -> None:
    model, url = served
    client = CompletionsModel(url)
    records: list[RunRecord] = []
    problems = [Problem(id=str(n), question=f"Question {n}?") for n in range(3)]
    batch = Batch(problems=tuple(problems), solver=Solver(model=client))
    await run_batch(batch, concurrency=3, on_record=records.append)
    await client.aclose()
    assert client.name == model.name
    texts = {record.problem.id: record.trajectory.transcript.text for record in records}
    assert texts == {str(n): tora(n)["code"][0] for n in range(3)}
    assert all(c.completion_tokens > 0 for record in records for c in record.trajectory.completions)


@pytest.mark.anyio
async def test_the_server_refuses_an_unknown_prompt_for_good(served: tuple[ReplayModel, str]) -> None:
    client = CompletionsModel(served[1])
    with pytest.raises(ModelRefused, match="nothing was recorded"):
        await client.complete(CompletionRequest(prompt="What?", max_tokens=9))
    await client.aclose()


def test_a_plain_answer_is_what_a_streamed_one_says(served: tuple[ReplayModel, str]) -> None:
    model, url = served
    prompt = model.dialect.prompt(Transcript(question="Question 1?"))
    body = {"prompt": prompt, "stop": "```output"}
    plain = httpx.post(f"{url}/completions", json=body).json()
    streamed = httpx.post(f"{url}/completions", json=body | {"stream": True}).text
    event, end = streamed.strip().split("\n\n")
    assert json.loads(event.removeprefix("data: ")) == plain and end == "data: [DONE]"
    assert plain["choices"][0] == {"index": 0, "text": "```python\nprint(1)\n```\n", "finish_reason": "stop"}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff", b'"prompt"', b"{}", b'{"prompt": 5}', b'{"prompt": ["a", "b"]}', b"[" * 100_000,
        b'{"prompt": "", "stop": 5}', b'{"prompt": "", "max_tokens": "many"}', b'{"prompt": "", "max_tokens": []}',
    ],
)  # fmt: skip
def test_what_the_server_cannot_read_is_a_bad_request(
    served: tuple[ReplayModel, str], content: bytes
) -> None:
    answer = httpx.post(f"{served[1]}/completions", content=content)
    assert answer.status_code == 400 and answer.json()["error"]["message"]


def test_the_server_needs_to_know_how_long_a_body_is(served: tuple[ReplayModel, str]) -> None:
    answer = httpx.post(f"{served[1]}/completions", content=iter([b"{}"]))
    assert answer.status_code == 400 and "Content-Length" in answer.text


def test_other_paths_are_not_found(served: tuple[ReplayModel, str]) -> None:
    assert httpx.get(f"{served[1]}/completions").status_code == 404
    assert httpx.post(f"{served[1]}/chat/completions", json={}).status_code == 404


def test_a_port_in_use_is_an_input_error(served: tuple[ReplayModel, str]) -> None:
    port = httpx.URL(served[1]).port
    with pytest.raises(InputError, match=f"port {port}"), serving(served[0], port or 0):
        pass


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", tora(1))
    line = [sys.executable, "-m", "benchmarks", "replay", str(file), "--serve", "0"]
    with subprocess.Popen(
        line, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT, env=os.environ | {"COLUMNS": "200"}
    ) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split(" at ")[1].split(";")[0]
        assert httpx.get(f"{url}/models").json()["data"][0]["id"] == "replay of tora"
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "solutions", "published"), [("tora-70b.gsm8k", 20, 84.3), ("mathcoder-cl-34b.svamp", 20, 82.5)]
)
@pytest.mark.kernel
def test_the_first_published_solutions_come_out_as_published(
    name: str, solutions: int, published: float
) -> None:
    file = DATA / "transcripts" / f"{name}.jsonl"
    if not file.exists():
        pytest.skip(f"there is no {file}")
    report = command(file, "--mode", "agent", "--limit", str(solutions))
    assert report["solutions"] == solutions
    assert report["paper"]["figure"] == published
    assert (report["accuracy"], report["flips"], report["agreement"]) == (report["published"], [], 1.0)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("tora-70b.gsm8k", 84.3, 84.3), ("mathcoder-cl-34b.svamp", 82.2, 82.5)],
)
def test_published_accuracies_come_out_of_the_real_agent(name: str, lowest: float, highest: float) -> None:
    file = DATA / "transcripts" / f"{name}.jsonl"
    if not file.exists():
        pytest.skip(f"there is no {file}")
    report = command(file, "--mode", "agent")
    assert lowest <= report["accuracy"] <= highest
    assert report["agreement"] >= 0.99 and report["ungraded"] == []
    assert {flip["why"] for flip in report["flips"]} <= {"recording broke off"}
