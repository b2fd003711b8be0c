"""The second corpus: every program is run, nothing of the evaluation is trained on, equal seeds give equal rows."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import anyio
import pytest

from finetune.commands.problems import mix as mix_command
from finetune.data.evaluation import evaluation_exercises, write_evaluation
from finetune.data.executed import outputs, solved
from finetune.data.jobs import read_manifest
from finetune.data.mix import Mixed, mix, programs
from finetune.data.repairs import PLANTS, Repair, planted, repaired
from finetune.data.seeds import same_form
from finetune.wordproblems.exercise import Exercise
from finetune.wordproblems.gsm8k import Gsm8kRow
from finetune.wordproblems.refusals import forms
from mumath_agent.errors import InputError

BROKEN: Gsm8kRow = {"question": "What are 2 and 3 kings?", "answer": "2+3=<<2+3=5>>5\n#### 6"}


def beads(n: int) -> Gsm8kRow:
    return {
        "question": f"Nora has {n} red beads and twice as many blue beads. How many beads does Nora have?",
        "answer": f"Nora has {n}*2=<<{n}*2={2 * n}>>{2 * n} blue beads.\n"
        f"In all {2 * n}+{n}=<<{2 * n}+{n}={3 * n}>>{3 * n}.\n#### {3 * n}",
    }


ROWS = [BROKEN, *map(beads, range(11, 19))]
TWO = Exercise(
    question="How many?",
    source="test",
    plan="Divide.",
    program=("from math import floor", "", "pens = 12", "people = 4", "share = pens / people", "rest = pens - people",
             "print(floor(share))"),
    worked=(),
    answer="3",
)  # fmt: skip


BLOCKS = re.compile(r"```python\n(.*?)\n```\n```output\n(.*?)\n```\n", re.DOTALL)


def mixed(size: int, *, stage: int, seed: int = 0, rows: list[Gsm8kRow] = ROWS) -> Mixed:
    return anyio.run(lambda: mix(rows, stage=1 if stage == 1 else 2, size=size, seed=seed))


@pytest.fixture(scope="module")
def thoughts() -> Mixed:
    return mixed(400, stage=1)


def test_a_stage_has_its_kinds_and_every_question_once(thoughts: Mixed) -> None:
    assert {"gsm8k", "stories", "new stories", "sums", "refusals"} <= thoughts.counts.keys()
    assert thoughts.counts["gsm8k row dropped: the last mark isn't the answer"] == 1
    forms = Counter(same_form(row["question"]).lower() for row in thoughts.rows)
    assert max(forms.values()) == 1
    assert {row["id"] for row in thoughts.rows} == {f"mix-1-0-{n}" for n in range(len(thoughts.rows))}


def test_only_refusals_have_no_box(thoughts: Mixed) -> None:
    for row in thoughts.rows:
        assert ("\\boxed{" in row["solution"]) != row["source"].startswith("refusal/"), row
        assert "{answer}" not in row["solution"] and "<<" not in row["solution"]


def test_nothing_of_the_evaluation_is_trained_on(thoughts: Mixed) -> None:
    kept = {same_form(one.question).lower() for one in evaluation_exercises()}
    assert not kept & {same_form(row["question"]).lower() for row in thoughts.rows}
    declined = {form for _, form in forms(held_back=True)}
    assert not declined & {row["question"] for row in thoughts.rows}


def test_equal_seeds_give_equal_rows(thoughts: Mixed) -> None:
    assert mixed(400, stage=1) == thoughts != mixed(400, stage=1, seed=1)


@pytest.mark.kernel
def test_programs_print_what_is_boxed_and_repairs_end_right() -> None:
    made = mixed(250, stage=2)
    assert made.counts["repairs"] >= 5 and made.counts["gsm8k"] > 50
    last: list[tuple[str, str, str]] = []
    for row in made.rows:
        code = BLOCKS.findall(row["solution"])
        wanted = 0 if row["source"].startswith("refusal/") else 1 + row["source"].startswith("repair/")
        assert len(code) == wanted, row
        if code:
            boxed = re.search(r"\\boxed\{(.*)\}", row["solution"])
            assert boxed is not None
            last.append((*code[-1], boxed[1]))
    for printed, (_, output, box) in zip(outputs([code for code, _, _ in last]), last, strict=True):
        assert printed == output
        assert float(printed) == float(box) if re.fullmatch(r"-?[\d.]+", box) else printed == box


@pytest.mark.kernel
def test_every_fault_shows_in_a_kernel_and_is_mended() -> None:
    faults = {}
    for plant in PLANTS:
        if (fault := plant(TWO.program, Random(1))) is not None:
            faults[fault.kind] = fault
    assert len(faults) == len(PLANTS)
    repairs = [Repair(exercise=TWO, fault=fault) for fault in faults.values() if fault.kind != "swapped"]
    texts = anyio.run(repaired, repairs)
    shown = dict(zip((repair.fault.kind for repair in repairs), texts, strict=True))
    says = {
        "undefined": "is not defined", "misspelt": "is not defined", "not imported": "'floor' is not defined",
        "wrong import": "ImportError", "not closed": "SyntaxError", "not printed": "```output\nDone\n```",
    }  # fmt: skip
    for kind, word in says.items():
        text = shown[kind]
        if kind == "undefined" and text is None:  # what was left out isn't used
            continue
        assert text is not None and word in text, (kind, text)
        assert (
            text.endswith("```output\n3\n```\nThe answer is $\\boxed{3}$.") and text.count("```python") == 2
        )


def test_an_exercise_without_a_place_for_a_fault_has_none() -> None:
    bare = Exercise(question="", source="", plan="", program=("7",), worked=(), answer="7")
    assert planted(bare, Random(0)) is None


def test_what_prints_another_answer_is_not_used() -> None:
    wrong = Exercise(question="", source="", plan="", program=("print(2 + 2)",), worked=(), answer="5")
    failed = Exercise(
        question="", source="", plan="", program=("print(1 / 0)",), worked=(), answer="{answer}"
    )
    assert [output for _, output in solved([wrong, failed])] == [None, None]
    assert outputs(["print(2)", "print(1 / 0)", "print(2)"]) == [
        "2",
        "ZeroDivisionError: division by zero",
        "2",
    ]
    with pytest.raises(InputError, match="ended its process"):
        outputs(["import os\nos._exit(3)"])


def test_rows_of_gsm8k_that_are_programs() -> None:
    found = programs(ROWS)
    assert len(found.rows) == len(ROWS) - len(ROWS) // 4
    assert len(found.known) + sum(found.dropped.values()) == len(found.rows)


def test_the_evaluation_is_always_the_same_and_large_enough(tmp_path: Path) -> None:
    counts = write_evaluation(tmp_path / "a")
    assert counts["everyday"] >= 100 and counts["sums"] >= 180 and counts["refusals"] >= 30
    again = subprocess.run(
        [sys.executable, "-c", f"from pathlib import Path; from finetune.data.evaluation import write_evaluation; "
         f"write_evaluation(Path({str(tmp_path / 'b')!r}))"],
        check=True,
    )  # fmt: skip
    assert again.returncode == 0
    for name in counts:
        rows = [
            json.loads(line) for line in (tmp_path / "a" / f"{name}.jsonl").read_text("utf-8").splitlines()
        ]
        assert all(("target" in row) == (name != "refusals") for row in rows)
        assert (tmp_path / "a" / f"{name}.jsonl").read_bytes() == (
            tmp_path / "b" / f"{name}.jsonl"
        ).read_bytes()


@pytest.mark.kernel
def test_the_command_writes_both_stages_with_manifests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gsm8k, out = tmp_path / "train.jsonl", tmp_path / "corpus"
    gsm8k.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    mix_command(out, gsm8k, thoughts=40, programs=40)
    said = capsys.readouterr().out
    assert "code.jsonl: " in said and "138 everyday" in said and f"{len(ROWS) // 4} gsm8k" in said
    for name in ("cot.jsonl", "code.jsonl"):
        lines = (out / name).read_text("utf-8").splitlines()
        assert read_manifest(out / name).rows == len(lines) > 30
    once = (out / "code.jsonl").read_bytes()
    mix_command(out, gsm8k, thoughts=40, programs=40)
    assert (out / "code.jsonl").read_bytes() == once
    with pytest.raises(InputError, match="size"):
        mix_command(out, gsm8k, thoughts=41, programs=40)
