"""A teacher that runs on this machine: the same commands, the same identity of what they make, no process left."""

from pathlib import Path

import psutil
import pytest

from finetune.data.records import Question
from mumath_agent.models.local import engine
from mumath_agent.records import Problem, RunRecord
from mumath_agent.runs.jsonl import load_records, replace_lines
from tests.mumath_agent.models.local.tiny import write_tiny
from tests.programs import Ended, call
from tests.waiting import HANG_S

pytest.importorskip("xllamacpp", reason="llama.cpp is in the extra `local`")


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    problem = Problem(id="q1", question="What is 2 + 2?", target="4")
    replace_lines(tmp_path / "questions.jsonl", [Question(problem=problem)])
    return tmp_path / "questions.jsonl"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("teacher") / "tiny.gguf")


def has_no_engine() -> bool:
    return not [p for p in psutil.Process().children() if engine.__file__ in p.cmdline()]


@pytest.mark.kernel
@pytest.mark.timeout(HANG_S * 5)
@pytest.mark.parametrize("chat", [(), ("--chat",)])
def test_it_solves(questions: Path, teacher: Path, tmp_path: Path, chat: tuple[str, ...]) -> None:
    out = tmp_path / "attempts.jsonl"
    asked = ("--local", teacher, "--samples", "2", "--max-new-tokens", "4", "--max-turns", "1", *chat)
    ended = call("finetune", "synthesize", questions, "--out", out, *asked)
    assert ended.code == 0, ended.stderr
    records = load_records(out, RunRecord)
    assert [record.settings.model for record in records] == ["tiny"] * 2 and has_no_engine()
    assert all(record.trajectory.error is None and record.trajectory.completions for record in records)


def test_it_rephrases(questions: Path, teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "augmented.jsonl"
    asked = ("--perspective", "rephrase", "--chat", "--max-new-tokens", "4")
    ended = call("finetune", "augment", questions, "--out", out, *asked, MUMATH_LOCAL=str(teacher))
    assert ended.code == 0, ended.stderr
    assert '"tiny"' in out.with_name("augmented.jsonl.manifest.json").read_text() and has_no_engine()


@pytest.mark.parametrize(
    ("command", "asked", "told"),
    [
        ("synthesize", (), "name a teacher: --teacher with the address of a server, or --local"),
        ("synthesize", ("--teacher", "embedded", "--local", "x.gguf"), "name different teachers"),
        ("synthesize", ("--local", "nowhere.gguf"), "there is no file nowhere.gguf"),
        ("augment", ("--perspective", "rephrase"), "name a teacher"),
        ("augment", ("--perspective", "rephrase", "--rules", "--local", "x"), "--rules asks no teacher"),
        (
            "augment",
            ("--perspective", "rephrase", "--local", "nowhere.gguf"),
            "there is no file nowhere.gguf",
        ),
    ],
)
def test_what_can_not_be_is_one_line(
    questions: Path, tmp_path: Path, command: str, asked: tuple[str, ...], told: str
) -> None:
    ended: Ended = call("finetune", command, questions, "--out", tmp_path / "out.jsonl", *asked)
    assert ended.code == 2 and len(ended.errors) == 1 and told in ended.errors[0]


def test_a_teacher_that_is_named_goes_before_the_environment(questions: Path, tmp_path: Path) -> None:
    asked = ("--teacher", "embedded", "--dry-run")
    ended = call(
        "finetune",
        "synthesize",
        questions,
        "--out",
        tmp_path / "out.jsonl",
        *asked,
        MUMATH_LOCAL="nowhere.gguf",
    )
    assert ended.code == 0
    rules = ("--perspective", "rephrase", "--rules", "--dry-run")
    ended = call(
        "finetune", "augment", questions, "--out", tmp_path / "out.jsonl", *rules, MUMATH_LOCAL="nowhere.gguf"
    )
    assert ended.code == 0
