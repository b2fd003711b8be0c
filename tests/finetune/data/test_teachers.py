"""Teachers that only chat, asked over HTTP: their programs run, their solutions are kept as text to train on."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread

import pytest

from finetune.data.augment.own import own_questions
from finetune.data.augment.perspectives import Perspective
from finetune.data.augment.stage import AugmentConfig, TeacherOptions, augment
from finetune.data.records import Question, SolutionFormat
from finetune.data.synthesize import SynthesizeConfig, synthesize
from mumath_agent.agent.solver import SolverOptions
from mumath_agent.records import Outcome, RunRecord, to_json
from mumath_agent.runs.jsonl import load_records

pytestmark = pytest.mark.anyio

PROGRAM = "```python\nprint(6 * 7)\n```"


class _Server(BaseHTTPRequestHandler):
    """Rephrases what is to be rephrased; else writes a program, and boxes what it is then told."""

    def do_GET(self) -> None:
        self._answer("application/json", json.dumps({"data": [{"id": "teacher"}]}))

    def do_POST(self) -> None:
        assert self.path == "/v1/chat/completions"
        messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        delta = {"role": "assistant", "content": _reply(messages)}
        event = json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]})
        self._answer("text/event-stream", f"data: {event}\n\ndata: [DONE]\n\n")

    def _answer(self, kind: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _reply(messages: list[dict[str, str]]) -> str:
    last = messages[-1]["content"]
    if "<new_question>" in last:
        seed = last.rpartition("<question>")[2].partition("</question>")[0].strip()
        return f"<new_question>Once you have read all of it, say this: {seed}</new_question>"
    if "```output" in last:
        return f"The answer is $\\boxed{{{last.splitlines()[1]}}}$."
    return f"We multiply.\n{PROGRAM}" if len(messages) == 2 else "It is 42. The answer is $\\boxed{42}$."


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    rows = [
        {"problem": {"id": f"q{n}", "question": "What is 6 times 7?", "target": "42", "seed_id": None}}
        for n in range(2)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.kernel
@pytest.mark.parametrize("format", SolutionFormat)
async def test_a_teacher_that_chats_solves(
    tmp_path: Path, address: str, questions: Path, format: SolutionFormat
) -> None:
    out = tmp_path / "attempts.jsonl"
    teacher = SolverOptions(base_urls=(address,), model="teacher")
    config = SynthesizeConfig(
        questions=questions, out=out, solver=teacher, chat=True, format=format, samples=2
    )
    assert (await synthesize(config)).counts == {"correct": 4}
    records = load_records(out, RunRecord)
    assert [record.verdict and record.verdict.outcome for record in records] == [Outcome.CORRECT] * 4
    texts = {record.trajectory.transcript.text for record in records}
    in_words = "It is 42. The answer is $\\boxed{42}$."
    with_code = f"We multiply.\n{PROGRAM}\n```output\n42\n```\nThe answer is $\\boxed{{42}}$."
    assert texts == {with_code if format is SolutionFormat.CODE else in_words}


async def test_a_teacher_that_chats_rephrases_whatever_its_name(tmp_path: Path, address: str) -> None:
    seeds, out = tmp_path / "seeds.jsonl", tmp_path / "out.jsonl"
    seeds.write_text("".join(json.dumps(to_json(q)) + "\n" for q in islice(own_questions(0), 3)), "utf-8")
    manifest = await augment(
        AugmentConfig(
            questions=seeds,
            out=out,
            perspectives=(Perspective.REPHRASE,),
            teacher=TeacherOptions(base_urls=(address,), chat=True),
        )
    )
    assert len(load_records(out, Question)) == manifest.rows == 3
    assert manifest.identity.model == "teacher"
