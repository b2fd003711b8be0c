"""The ablations' mechanics: fair arms, honest intervals, a page that says what is done. Outcomes are not tested."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from threading import Thread

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.ablations.design import (
    ARMS,
    CLAIMS,
    CODE,
    COT,
    HALF,
    SEEDS,
    SIZES,
    TWO_STAGES,
    AblationSize,
    Arm,
    Claim,
)
from finetune.ablations.findings import (
    Interval,
    arm_findings,
    claim_findings,
    over_seeds,
    over_seeds_and_schemas,
)
from finetune.ablations.material import held_out, questions, rows
from finetune.ablations.page import conclusion, page
from finetune.ablations.running import PlannedRun, Run, RunLost, make_runs, recipes, unit
from finetune.ablations.solving import ProblemResult
from finetune.commands.ablating import SizeName, ablations, findings_of
from finetune.data.records import SolutionFormat
from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.records import Outcome, from_json, to_json

TINY = SIZES["tiny"]
SCHEMAS = tuple(asked.problem.source for asked in held_out(TINY.problems))


def run_of(arm: Arm, seed: int, right: int) -> Run:
    """Return a run that solved the first `right` problems."""
    results = tuple(
        ProblemResult(outcome=Outcome.CORRECT if number < right else Outcome.INCORRECT, copied=True)
        for number in range(len(SCHEMAS))
    )
    return Run(
        arm=arm.name, seed=seed, parameters=1, steps=8, tokens=99, train_s=1.0, solve_s=1.0, results=results
    )


# Arms differ in one thing


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_compute_is_equal_where_the_claim_says_so(claim: Claim) -> None:
    if claim.worse is HALF:
        assert claim.better.stages[-1] == claim.worse.stages[-1]
    else:
        assert claim.better.units == claim.worse.units


@pytest.mark.parametrize(
    ("one", "other", "field"), [(CODE, COT, "format"), (CODE, SEEDS, "source")], ids=["a", "b"]
)
def test_arms_of_one_stage_differ_in_one_thing(one: Arm, other: Arm, field: str) -> None:
    changed = replace(one.stages[0], **{field: getattr(other.stages[0], field)})
    assert one.stages[0] != other.stages[0] and (changed,) == other.stages


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_recipes_of_an_arm_are_the_units_and_only_the_first_makes_a_model(
    size: AblationSize, arm: Arm
) -> None:
    made = list(recipes(PlannedRun(arm=arm, seed=5, size=size, work=Path())))
    steps = unit(size).steps
    assert steps is not None and [recipe.steps for recipe in made] == [
        steps * stage.units for stage in arm.stages
    ]
    assert [recipe.model is not None for recipe in made] == [True] + [False] * (len(made) - 1)
    free = {"name": "", "seed": 0, "steps": 1, "model": None}
    assert {recipe.model_copy(update=free) for recipe in made} == {unit(size).model_copy(update=free)}
    assert {recipe.seed for recipe in made} == {5}
    assert not unit(size).eval_rows, "rows held out would make few seeds fewer"


# The material


def test_formats_have_the_same_questions_and_answers_in_the_same_order() -> None:
    own, made = questions(15, 2, draw=3)
    cot, code = (list(rows(own + made, format)) for format in (SolutionFormat.COT, SolutionFormat.CODE))
    assert len(cot) > 60
    assert [row.question for row in cot] == [row.question for row in code]
    assert [boxed_answers(row.solution) for row in cot] == [boxed_answers(row.solution) for row in code]
    assert not any("```" in row.solution for row in cot)
    assert all(row.solution.count("```output\n") == 1 for row in code)


def test_augmentations_are_of_the_seeds_and_another_draw_has_other_seeds() -> None:
    own, made = questions(15, 2, draw=3)
    assert {question.problem.seed_id for question in made} <= {question.problem.id for question in own}
    texts = {question.problem.question for question in own}
    assert not texts & {question.problem.question for question in made}
    other, _ = questions(15, 0, draw=4)
    assert not texts & {question.problem.question for question in other}


def test_held_out_problems_are_spread_over_schemas_that_no_question_comes_from() -> None:
    asked = list(held_out(100))
    sources = [one.problem.source.removeprefix("template/") for one in asked]
    counts = {source: sources.count(source) for source in sources}
    assert max(counts.values()) - min(counts.values()) <= 1
    own, _ = questions(300, 0, draw=0)
    trained = {tag.removeprefix("schema:") for question in own for tag in question.problem.tags}
    assert len(trained) > 100 and not trained & set(sources)
    assert len({one.problem.id for one in asked}) == 100
    assert list(held_out(100)) == asked


def test_the_numbers_that_count_as_needed_stand_in_the_question() -> None:
    assert all(
        one.needed and all(number.replace(".", "").isdigit() for number in one.needed) for one in held_out(50)
    )


# Intervals


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        # mean ± t(0.975, n - 1) * s / sqrt(n), with 4.302653 for n = 3 and 12.706205 for n = 2
        ([0.2, 0.3, 0.4], 0.3 - 4.302653 * 0.1 / 3**0.5, 0.3 + 4.302653 * 0.1 / 3**0.5),
        ([0.1, 0.3], 0.2 - 12.706205 * 0.1, 0.2 + 12.706205 * 0.1),
        ([0.5, 0.5, 0.5], 0.5, 0.5),
    ],
)
def test_t_interval_over_seeds(values: list[float], low: float, high: float) -> None:
    found = over_seeds(values)
    assert found is not None and (found.low, found.high) == pytest.approx((low, high), abs=1e-6)


def test_one_seed_has_no_interval() -> None:
    assert over_seeds([0.5]) is None
    assert over_seeds_and_schemas(np.ones((1, 4)), ["a", "a", "b", "b"]) is None


@given(st.integers(0, 10**6))
def test_bootstrap_lies_within_what_a_draw_can_give(seed: int) -> None:
    draw = np.random.default_rng(seed)
    change = draw.integers(-1, 2, (3, 20)).astype(float)
    found = over_seeds_and_schemas(change, [f"s{number % 5}" for number in range(20)])
    blocks = change.reshape(3, 4, 5).mean(axis=1)  # seeds, schemas
    assert found is not None and blocks.min() - 1e-9 <= found.low <= found.high <= blocks.max() + 1e-9


def test_bootstrap_agrees_with_a_slow_one() -> None:
    draw, random = np.random.default_rng(1), Random(2)
    schemas = ["a"] * 4 + ["b"] * 8 + ["c"] * 3 + ["d"] * 5  # of different sizes
    change = draw.integers(-1, 2, (3, 20)).astype(float)
    names = sorted(set(schemas))
    means = []
    for _ in range(4000):
        drawn = [n for s in random.choices(names, k=4) for n, schema in enumerate(schemas) if schema == s]
        means.append(np.mean([change[seed, n] for seed in random.choices(range(3), k=3) for n in drawn]))
    found = over_seeds_and_schemas(change, schemas)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, (2.5, 97.5))), abs=0.03)


def test_problems_that_fall_together_count_as_one() -> None:
    change = np.tile(np.repeat([1.0, 0.0, 0.0, 1.0], 25), (3, 1))
    together = over_seeds_and_schemas(change, list(np.repeat(["a", "b", "c", "d"], 25)))
    apart = over_seeds_and_schemas(change, [str(number) for number in range(100)])
    assert together is not None and apart is not None
    assert together.high - together.low > 3 * (apart.high - apart.low)


# Findings


def test_only_seeds_that_both_arms_have_are_compared() -> None:
    runs = [run_of(CODE, 0, 4), run_of(CODE, 1, 6), run_of(CODE, 2, 8), run_of(COT, 0, 2), run_of(COT, 2, 2)]
    (claim,) = claim_findings(runs, SCHEMAS)
    assert (claim.better, claim.worse, claim.seeds) == ("code", "CoT", (0, 2))
    assert claim.difference == pytest.approx((2 + 6) / 2 / len(SCHEMAS))
    assert claim.by_seed == pytest.approx((2 / len(SCHEMAS), 6 / len(SCHEMAS)))
    code, cot = arm_findings(runs)
    assert (code.seeds, code.solved) == ((0, 1, 2), pytest.approx(6 / len(SCHEMAS)))
    assert (cot.seeds, cot.by_seed) == ((0, 2), (0.25, 0.25))


@pytest.mark.parametrize(
    ("difference", "seeds", "schemas", "said"),
    [
        (0.2, (0.1, 0.3), (0.1, 0.3), "holds"),
        (-0.2, (-0.3, -0.1), (-0.3, -0.1), "the opposite holds"),
        (0.2, (-0.1, 0.5), (0.1, 0.3), "not settled"),
        (0.2, (0.1, 0.3), (0.0, 0.4), "not settled"),
        (0.2, None, None, "not settled"),
    ],
)
def test_a_claim_holds_where_both_intervals_say_so(
    difference: float, seeds: tuple[float, float] | None, schemas: tuple[float, float] | None, said: str
) -> None:
    (claim,) = claim_findings([run_of(CODE, 0, 4), run_of(COT, 0, 2)], SCHEMAS)
    low_high = [Interval(low=pair[0], high=pair[1]) if pair else None for pair in (seeds, schemas)]
    found = replace(claim, difference=difference, over_seeds=low_high[0], over_seeds_and_schemas=low_high[1])
    assert conclusion(found) == said


# The command


def write_runs(work: Path, *, but: tuple[Arm, int]) -> None:
    """Results of all runs of two seeds but one, as an earlier command left them."""
    for seed in range(2):
        for number, arm in enumerate(ARMS):
            job = PlannedRun(arm=arm, seed=seed, size=TINY, work=work)
            if (arm, seed) != but:
                job.out.mkdir(parents=True)
                job.result.write_text(json.dumps(to_json(run_of(arm, seed, number + seed))))


@pytest.mark.slow  # small trainings: the pipeline's test has both stages
@pytest.mark.train
@pytest.mark.kernel
def test_the_command_makes_what_is_missing_and_tells_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, page = tmp_path / "work", tmp_path / "page.md"
    write_runs(work, but=(TWO_STAGES, 1))
    tell = partial(ablations, work=work, page=page, size=SizeName.TINY, seeds=2, workers=1)
    tell(as_json=True)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["9 of 10 runs are done", "10 of 10 runs are done"]
    told = json.loads(captured.out)
    assert [arm["seeds"] for arm in told["arms"]] == [[0, 1]] * len(ARMS)
    assert [claim["seeds"] for claim in told["claims"]] == [[0, 1]] * len(CLAIMS)
    made = from_json(Run, json.loads((work / "seed-1" / "cot-then-code" / "run.json").read_text()))
    steps = unit(TINY).steps
    assert steps is not None and made.steps == 2 * steps and len(made.results) == TINY.problems
    assert 0.8 * 512 * made.steps < made.tokens <= 512 * made.steps
    before = page.read_text()
    assert "10 of 10 runs are done" in before and before.count("\n| CoT, then code | ") == 2

    tell()
    captured = capsys.readouterr()
    assert captured.err == "10 of 10 runs are done\n" and "a. code beats CoT" in captured.out
    assert page.read_text() == before


def test_a_page_of_no_runs_has_no_numbers(tmp_path: Path) -> None:
    text = page_of([], tmp_path)
    assert "0 of 10 runs are done" in text and "None yet." in text and "| claim |" not in text


def test_a_page_of_some_runs_says_which_seeds_it_tells_of(tmp_path: Path) -> None:
    text = page_of([run_of(CODE, 0, 4), run_of(COT, 0, 2)], tmp_path)
    assert "2 of 10 runs are done" in text
    assert "| code | 50.0 | 50.0 | 100.0 | 50.0 | 0.0 | 1 |" in text
    assert "| +25.0 | +25.0 | takes two seeds | takes two seeds | not settled |" in text
    assert "*CoT, then code* −" not in text


def page_of(runs: list[Run], work: Path) -> str:
    return page(findings_of(runs, SizeName.TINY, 2, work))


def test_another_design_takes_another_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    write_runs(work, but=(CODE, 9))
    assert len(make_runs(TINY, 2, work, workers=1, on_run=lambda _: None)) == 2 * len(ARMS)
    with pytest.raises(InputError, match=r"made with size\.seeds 40, now it is 41"):
        make_runs(replace(TINY, seeds=41), 2, work, workers=1, on_run=lambda _: None)


def test_two_commands_in_one_folder_are_refused(tmp_path: Path) -> None:
    """The second is asked while the first is at work; when it has ended, the folder is free again."""
    write_runs(tmp_path, but=(CODE, 9))

    def second(runs: Sequence[Run]) -> None:
        with pytest.raises(InputError, match="in use by another command"):
            make_runs(TINY, 2, tmp_path, workers=1, on_run=lambda _: None)

    for _ in range(2):
        make_runs(TINY, 2, tmp_path, workers=1, on_run=second)


def test_a_killed_process_is_told_with_what_to_do(tmp_path: Path) -> None:
    def kill_one() -> None:
        while not (
            children := [c for c in psutil.Process().children() if "spawn_main" in " ".join(c.cmdline())]
        ):
            time.sleep(0.01)
        children[0].kill()

    write_runs(tmp_path, but=(CODE, 1))
    killer = Thread(target=kill_one, daemon=True)
    killer.start()
    with pytest.raises(RunLost, match="the same command goes on"):
        make_runs(TINY, 2, tmp_path, workers=1, on_run=lambda _: None)
    killer.join()


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.kernel
def test_all_arms_with_equal_steps_read_nearly_as_many_tokens(tmp_path: Path) -> None:
    runs = make_runs(TINY, 1, tmp_path, workers=2, on_run=lambda _: None)
    assert [run.arm for run in runs] == [arm.name for arm in ARMS]
    read = {run.arm: run.tokens / run.steps for run in runs}
    assert max(read.values()) < 1.15 * min(read.values())
    assert {run.steps for run in runs if run.arm != HALF.name} == {2 * runs[-1].steps}
