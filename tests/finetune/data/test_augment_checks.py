"""What a teacher's reply must be like, perspective by perspective: a table of replies with their reasons."""

# ruff: noqa: E501 - replies are read best unbroken

from random import Random

import pytest

from finetune.data.augment.asks import ASKS, Asked, Seeds
from finetune.data.augment.checks import require_asking
from finetune.data.augment.perspectives import Perspective, Unusable
from finetune.data.augment.programs import read_program
from finetune.data.augment.relations import other_operations, used_numbers, written_out
from finetune.data.augment.replies import require_question
from finetune.data.augment.teacher import Teacher, tasks
from finetune.data.records import UNCONFIRMED, Question
from mumath_agent.records import Problem
from mumath_agent.testing import ScriptedModel

pytestmark = pytest.mark.anyio


def _seed(name: str, question: str, rationale: str | None, target: str | None) -> Question:
    return Question(problem=Problem(id=name, question=question, target=target), rationale=rationale)


CLIPS = _seed(
    "clips",
    "Nadia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Nadia sell altogether in April and May?",
    "In May 48/2 = <<48/2=24>>24. In all 48+24 = <<48+24=72>>72.\n#### 72",
    "72",
)
WALLET = _seed(
    "wallet",
    "Betty saves for a wallet which costs $100. She has $50, her parents give her $15, and her grandparents twice as much "
    "as her parents. How much more money does Betty need to buy the wallet?",
    "Grandparents give 15*2 = <<15*2=30>>30. So 100-50-15-30 = <<100-50-15-30=5>>5.\n#### 5",
    "5",
)
LAPS = _seed(
    "laps",
    "Omar runs 3 laps of 400 meters. How many meters does he run?",
    "3*400=<<3*400=1200>>1200\n#### 1200",
    "1200",
)
SUM = _seed("sum", "What is $\\frac{3}{8}$ of 56?", None, "21")
OPEN = _seed("open", "How many primes are below 30?", None, None)
SEEDS = Seeds([CLIPS, WALLET, LAPS, SUM, OPEN])
P = Perspective

# perspective, seed, the target that is asked for (None: whichever), what the teacher wrote, the reason (None: used)
REPLIES: list[tuple[Perspective, Question, str | None, str, str | None]] = [
    # faults of the first trial, one sort after the other
    (P.REPHRASE, WALLET, None, "Betty needs $15 more to buy the wallet.", "asks nothing"),
    (P.BF_TRANS, CLIPS, "48", "Nadia sold clips to her friends in April and half as many in May. How many clips did Nadia sell altogether in April and May?", "known answer missing"),
    (P.NEW_NUMBERS, OPEN, None, "How many primes are below 30 that are odd?", "numbers unchanged"),
    (P.NEW_NUMBERS, SUM, None, "What is $\\frac{3}{8}$ of 56, if 5 is taken away first?", "number added"),
    # rephrase: every number, no other, a question
    (P.REPHRASE, CLIPS, None, "In April Nadia sold clips to 48 friends. In May she sold half that number. What is the number of clips sold in both months?", None),
    (P.REPHRASE, CLIPS, None, "Nadia sold forty-eight clips in April and half as many in May. Altogether, how many?", "number lost"),
    (P.REPHRASE, CLIPS, None, "Find the number of clips that Nadia sold in April and May, if 48 friends bought one in April, and half as many did in May.", None),
    (P.REPHRASE, CLIPS, None, "Nadia sold 48 clips in April and half as many in May.", "asks nothing"),
    (P.REPHRASE, CLIPS, None, "Nadia sold 48 clips in April and 24 clips in May. How many clips did she sell?", "number added"),
    (P.REPHRASE, CLIPS, None, "Nadia sold 48 clips in April, half as many in May, 72 in all. How many were sold in all?", "target told"),
    (P.REPHRASE, CLIPS, None, "Nadia sold clips to her friends in April and half as many in May. How many clips is that?", "number lost"),
    (P.REPHRASE, CLIPS, None, "Nadia sold clips to 84 of her friends in April, and half as many in May. How many in all?", "number lost"),
    (P.REPHRASE, CLIPS, None, CLIPS.problem.question, "unchanged"),
    (P.REPHRASE, CLIPS, None, CLIPS.problem.question.upper(), "unchanged"),
    (P.REPHRASE, CLIPS, None, CLIPS.problem.question.replace(",", " , ").replace("?", " ?"), "unchanged"),
    (P.REPHRASE, CLIPS, None, "Sure, here it is: Nadia sold 48 clips and then half as many. How many in all?", "talks about the task"),
    (P.REPHRASE, CLIPS, None, "The rephrased question: Nadia sold 48 clips and then half as many. How many in all?", "talks about the task"),
    (P.REPHRASE, CLIPS, None, "Nadia sold 48 clips in April and half as many in May. How many? 48 / 2 = 24.", "solves it"),
    (P.REPHRASE, CLIPS, None, "Nadia sold 48 clips, then half as many. How many? The answer is $\\boxed{72}$.", "solves it"),
    (P.REPHRASE, CLIPS, None, "How many did Nadia sell, if 48 bought a clip, then half as many? To find out, we need to add.", "solves it"),
    (P.REPHRASE, CLIPS, None, "[Name] sold clips to 48 friends and then half as many. How many in all?", "blanks left open"),
    (P.REPHRASE, CLIPS, None, "Nadia sold 48 clips, then half as many. ___ clips were sold, how many?", "blanks left open"),
    (P.REPHRASE, CLIPS, None, "Nadia sold 48 clips in April. How many did she sell in May? How many in both months?", "asks several things"),
    (P.REPHRASE, WALLET, None, "A wallet costs $100. Betty owns $50 and gets $15 from her parents and twice that from her grandparents. What sum is missing?", None),
    (P.REPHRASE, WALLET, None, "A wallet costs $100. Betty owns $50 and gets $15 from her parents and 2 times that from her grandparents. What sum is missing?", None),
    (P.REPHRASE, WALLET, None, "A wallet costs $100. Betty owns $50 and gets $15. What sum is missing, if the grandparents give her $30?", "number added"),
    (P.REPHRASE, LAPS, None, "Determine how many meters Omar runs in three laps of 400 meters each.", None),
    (P.REPHRASE, LAPS, None, "Omar ran 3 laps, each 400 meters long.", "asks nothing"),
    (P.REPHRASE, LAPS, None, "1. How far is 400 meters?\n2. How far is 3 laps?\n3. And in all?", "asks several things"),
    (P.REPHRASE, SUM, None, "How much is $\\frac{3}{8}$ of 56?", None),
    (P.REPHRASE, SUM, None, "Calculate $\\frac{3}{8} \\cdot 56$.", None),
    (P.REPHRASE, SUM, None, "How much is three eighths of 56?", "number lost"),
    (P.REPHRASE, CLIPS, None, "Nadia sold 48 clips in April and as many in May. How many clips is that?", "number lost"),
    (P.REPHRASE, CLIPS, None, "Nadia sold 48 clips in April and half that in May. Is that double or how many?", "number added"),
    (P.REPHRASE, WALLET, None, "A wallet costs $100. Betty owns $50 and gets $15 from her parents and more from others. What is missing?", "number lost"),
    # BF-Trans: the known answer and the other numbers, no unknown, not the number itself, not forwards
    (P.BF_TRANS, CLIPS, "48", "Nadia sold clips in April and half as many in May. She sold 72 clips in both months. To how many friends did she sell clips in April?", None),
    (P.BF_TRANS, CLIPS, "48", "Nadia sold 72 clips in both months, X of them in April. Half of X were sold in May. What is X?", "still an unknown"),
    (P.BF_TRANS, CLIPS, "48", "Nadia sold 48 clips in April and 72 in April and May. How many of her friends bought one?", "target told"),
    (P.BF_TRANS, CLIPS, "48", "Nadia sold 72 clips in April and half as many in May. How many clips did Nadia sell altogether in April and May?", "asks the forward question"),
    (P.BF_TRANS, CLIPS, "48", "Nadia sold 72 clips in April and May, half as many in May as in April.", "asks nothing"),
    (P.BF_TRANS, CLIPS, "48", "Nadia sold clips to X of her friends, and half as many in May. How many altogether?", "still an unknown"),
    (P.BF_TRANS, CLIPS, "48", "Nadia sold 72 clips in April and May, 36 of them in May. How many in April?", "number added"),
    (P.BF_TRANS, WALLET, "100", "Betty has $50 and gets $15 from her parents and twice as much from her grandparents. Then she needs $5 more for a wallet. What does it cost?", None),
    (P.BF_TRANS, WALLET, "100", "Betty has $50 and gets twice $15. She needs $5 more for a wallet. Its price is $100. What does it cost?", "target told"),
    (P.BF_TRANS, WALLET, "100", "Betty has $50 and gets some money. She needs $5 more for a wallet. What does it cost?", "number lost"),
    (P.BF_TRANS, WALLET, "15", "A wallet costs $100. Betty has $50, and gets some from her parents and twice as much from her grandparents. Then she lacks $5. How much do her parents give her?", None),
    (P.BF_TRANS, LAPS, "3", "Each lap is 400 meters. How many laps does Omar run, if he runs 1,200 meters?", None),
    (P.BF_TRANS, LAPS, "3", "Each lap is 400 meters. How many laps does Omar run, if he runs far?", "known answer missing"),
    (P.BF_TRANS, LAPS, "400", "Omar runs 3 laps, 1200 meters in all. How long is a lap?", None),
    # the manners of alteration
    (P.NEW_NUMBERS, SUM, None, "What is $\\frac{5}{8}$ of 72?", None),
    (P.NEW_NUMBERS, SUM, None, "What is $\\frac{3}{8}$ of 56 ?", "unchanged"),
    (P.NEW_NUMBERS, OPEN, None, "How many primes are below 50?", None),
    (P.NEW_NUMBERS, OPEN, None, "How many primes are there?", "number lost"),
    (P.NEW_NUMBERS, OPEN, None, "A farmer has 50 eggs and sells them by the dozen at the market every day of May. How many remain?", "story changed"),
    (P.ADDED_CONDITION, LAPS, None, "Omar runs 3 laps of 400 meters and then walks another 250 meters. How many meters does he run?", None),
    (P.ADDED_CONDITION, LAPS, None, "Omar runs 3 laps. How many of the meters on the long track does he run, if he gets tired?", "number lost"),
    (P.ADDED_CONDITION, LAPS, None, "Omar runs 3 laps of 400 meters each. How many meters does he run?", "nothing added"),
    (P.NEW_CONTEXT, LAPS, None, "A machine fills 3 crates with 400 bottles each. How many bottles are filled?", None),
    (P.NEW_CONTEXT, LAPS, None, "Omar walks 3 laps of 400 meters. How many meters does he walk?", "story unchanged"),
    (P.CHANGED_GOAL, LAPS, None, "Omar runs 3 laps of 400 meters. How many more laps make 2,000 meters?", None),
    (P.CHANGED_GOAL, LAPS, None, "Omar jogs 3 laps of 400 meters. How many meters does he run?", "goal unchanged"),
    (P.CHANGED_GOAL, LAPS, None, "Omar runs 3 laps. How long does it take him at 5 meters a second?", "number lost"),
    (P.HARDER, LAPS, None, "Omar runs 3 laps of 400 meters, and Mia runs half a lap less than he does. How many meters do they run together?", None),
    (P.HARDER, LAPS, None, "Omar runs 3 laps. How many?", "not harder"),
    (P.HARDER, LAPS, None, "Omar runs 3 laps of 400 meters, and Mia runs half a lap less. They run a long way together.", "asks nothing"),
    (P.INTERPOLATION, LAPS, None, "Omar and Mia each run 3 laps of 400 meters. How far do they run?", None),
    # expression replacement: the numbers of the changed expressions, and not their result
    (P.EXPRESSION_REPLACEMENT, CLIPS, "24", "Nadia sold clips to 48 of her friends in April and half as many in May. How many more did she sell in April?", None),
    (P.EXPRESSION_REPLACEMENT, CLIPS, "24", "Nadia sold 48 clips in April and 24 in May. How many more did she sell in April?", "target told"),
    (P.EXPRESSION_REPLACEMENT, CLIPS, "24", "Nadia sold some clips in April and half as many in May. How many more in April?", "number lost"),
    (P.EXPRESSION_REPLACEMENT, CLIPS, "24", "48 - (48 / 2)", "asks nothing"),
    (P.EXPRESSION_REPLACEMENT, CLIPS, "24", "Nadia sold clips to 48 friends in each of 5 weeks. How many is that?", "number added"),
]  # fmt: skip


def task_for(perspective: Perspective, seed: Question, target: str | None) -> tuple[int, Asked]:
    """Return the first sample whose request has the target."""
    for sample in range(60):
        one = tasks([seed], [perspective], samples=sample + 1, maker="test")[-1]
        asked = ASKS[perspective](seed, SEEDS, Random(one.number))
        if target in (None, asked.target):
            return sample, asked
    raise AssertionError(f"no request of {perspective} has the target {target}")


@pytest.mark.parametrize(("perspective", "seed", "target", "reply", "reason"), REPLIES)
async def test_a_reply_is_used_or_dropped_for_its_form(
    perspective: Perspective, seed: Question, target: str | None, reply: str, reason: str | None
) -> None:
    if perspective is P.INTERPOLATION:
        require_question(reply)
        require_asking(reply, seed.problem.question)
        return
    sample, asked = task_for(perspective, seed, target)
    teacher = Teacher(
        model=ScriptedModel(texts=[f"<new_question>{reply}</new_question>"]),
        seeds=SEEDS,
        temperature=0.7,
        top_p=1.0,
        max_tokens=200,
    )
    done = await teacher.augment(tasks([seed], [perspective], samples=sample + 1, maker="test")[-1])
    assert done.counts == {f"{perspective}, {reason}" if reason else perspective.value: 1}
    for row in done.rows:
        assert (row.problem.question, row.problem.target) == (reply, asked.target)
        assert (UNCONFIRMED in row.problem.tags) == (perspective in (P.BF_TRANS, P.EXPRESSION_REPLACEMENT))


@pytest.mark.parametrize("seed", [CLIPS, WALLET, LAPS])
async def test_what_a_rule_does_exactly_is_not_asked_for(seed: Question) -> None:
    model = ScriptedModel(texts=[])
    teacher = Teacher(model=model, seeds=SEEDS, temperature=0.7, top_p=1.0, max_tokens=200)
    (row,) = (await teacher.augment(tasks([seed], [P.FOBAR], samples=1, maker="test")[0])).rows
    text, answer = row.problem.question, seed.problem.target
    assert f"The answer to this question is {answer}." in text and text.endswith(
        "Which number does X stand for?"
    )
    assert row.problem.target and row.problem.target not in text.split(" The answer")[0].split()
    assert UNCONFIRMED not in row.problem.tags
    assert not model.prompts


async def test_a_masked_number_without_a_program_is_not_confirmed() -> None:
    teacher = Teacher(model=ScriptedModel(texts=[]), seeds=SEEDS, temperature=0.7, top_p=1.0, max_tokens=200)
    plain = _seed("plain", "A tram carries 30 people and 12 get off. How many are left?", None, "18")
    (row,) = (await teacher.augment(tasks([plain], [P.FOBAR], samples=1, maker="test")[0])).rows
    assert row.problem.target in {"30", "12"} and UNCONFIRMED in row.problem.tags


async def test_new_numbers_are_a_rules_where_a_program_gives_the_answer() -> None:
    teacher = Teacher(model=ScriptedModel(texts=[]), seeds=SEEDS, temperature=0.7, top_p=1.0, max_tokens=200)
    made = [
        row
        for one in tasks([LAPS], [P.NEW_NUMBERS], samples=6, maker="test")
        for row in (await teacher.augment(one)).rows
    ]
    assert len(made) == 6
    for row in made:
        again = read_program(row)
        assert row.problem.target == str(again.problem.answer) and row.rationale
        assert again.problem.numbers != read_program(LAPS).problem.numbers


def test_another_operation_in_one_step_at_a_time() -> None:
    problem = read_program(CLIPS).problem
    ways = {tuple(written_out(other)): other.answer for other in other_operations(problem)}
    assert ways == {("48 * 2", "48 + (48 * 2)"): 144, ("48 / 2", "48 - (48 / 2)"): 24}
    assert used_numbers(problem) == ["48"]


@pytest.mark.parametrize(
    "text", ["Evaluate $2^5$.", "If $x = 3$, find $x^2$.", "Give the sum of 2 and 3.", "Is 7 prime?"]
)
def test_what_asks(text: str) -> None:
    require_asking(text, "")


@pytest.mark.parametrize(
    "text", ["It is 7.", "Find out that it is 7? Step by step, the answer is 7.", "<question>What?"]
)
def test_what_does_not_ask(text: str) -> None:
    with pytest.raises(Unusable):
        require_asking(text, "")
