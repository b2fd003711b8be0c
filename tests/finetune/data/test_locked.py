"""Every long command of the pipeline that appends to a file, or fills a folder, is alone with it."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from finetune.data.records import SolutionFormat
from finetune.data.synthesize import SynthesizeConfig, synthesize
from mumath_agent.errors import InputError
from mumath_agent.runs.locks import only_user, only_writer
from tests.programs import call

QUESTION = {
    "problem": {"id": "a", "question": "What is 2 + 2?", "target": "4"},
    "rationale": "2 + 2 = 4.\n#### 4",
}


@pytest.mark.parametrize(
    ("command", "hold", "held"),
    [
        ("seeds --own 3 --out x", only_writer, "x.part"),
        ("all --size tiny --work x", only_user, "x"),
        ("train embedded-stage1 --data questions.jsonl --from start --out x", only_user, "x"),
    ],
)
def test_a_second_command_is_refused_while_the_first_one_writes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    hold: Callable[[Path], AbstractContextManager[None]],
    held: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("questions.jsonl").write_text(json.dumps(QUESTION) + "\n")
    with hold(Path(held)):
        ended = call("finetune", *command.split())
        assert Path(held).exists()
    assert ended.code == 2 and len(ended.errors) == 1
    assert f"{held} is in use by another command" in ended.stderr


@pytest.mark.anyio
@pytest.mark.kernel
async def test_synthesis_is_alone_with_its_attempts(tmp_path: Path) -> None:
    questions, out, told = tmp_path / "questions.jsonl", tmp_path / "x", list[int]()
    questions.write_text(json.dumps(QUESTION) + "\n")

    def at_work(done: int, total: int) -> None:
        with pytest.raises(InputError, match=f"{out} is in use by another command"), only_writer(out):
            raise AssertionError("two have the file")
        told.append(done)

    await synthesize(
        SynthesizeConfig(questions=questions, out=out, format=SolutionFormat.COT, own=True), at_work
    )
    assert told[-1] == 1 and out.read_text().count("\n") == 1
