"""Augmentation by a teacher: what each perspective asks, which answer is known of it, and which replies count."""

import json
import re
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice, repeat
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from finetune.commands.augmenting import augment
from finetune.data.augment.asks import ASKS, SECTIONS, Seeds, difficulty
from finetune.data.augment.own import own_questions
from finetune.data.augment.perspectives import Perspective
from finetune.data.augment.prompts import digests, places, prompt_file, rendered
from finetune.data.augment.teacher import Task, Teacher, estimated, require_served, tasks
from finetune.data.jobs import JobIdentity, read_manifest, run_job
from finetune.data.records import Question
from mumath_agent.errors import ModelRefused, ModelUnreachable
from mumath_agent.records import Completion, FinishReason, Problem, to_json
from mumath_agent.runs.jsonl import load_records
from mumath_agent.testing import ScriptedModel

pytestmark = pytest.mark.anyio

EASY = Question(
    problem=Problem(
        id="easy",
        question="Nora has 12 apples and 5 pears. How many pieces of fruit does she have?",
        target="17",
        source="own",
    ),
    rationale="12 + 5 = <<12+5=17>>17\n#### 17",
)
HARD = Question(
    problem=Problem(
        id="hard",
        question="What is $\\frac{x}{y}$?",
        target="z",
        source="math",
        tags=("level:3", "type:Algebra"),
    ),
    rationale="$\\boxed{z}$",
)
BARE = Question(problem=Problem(id="bare", question="Why?", source="user"))
SEEDS = (EASY, HARD, BARE)

OTHER = (
    "<new_question>Anna picks 12 figs and 5 dates in the garden. Together with 2 dates that come from Ben, "
    "how much fruit is that?</new_question>"
)
REPHRASED = "<new_question>How much fruit has Nora, if she owns 12 apples and 5 pears?</new_question>"
TURNED = "<new_question>Nora has 17 pieces of fruit, {0} of one sort. How many are of the other sort?</new_question>"
UNKNOWN = "<new_question>Nora has X apples. Which number is X?</new_question>"
BOXED = "<new_solution>1. Add: 12 + 5 = 17.\nSo $\\boxed{17}$.</new_solution>"
NESTED = "<new_solution>[Outline]\na\n[Plan]\nb\n[Execution]\n$\\boxed{17}$</new_solution>"
GOOD = dict.fromkeys(Perspective, OTHER) | {
    Perspective.REPHRASE: REPHRASED,
    Perspective.CHANGED_GOAL: OTHER.replace(
        "how much fruit is that", "how many more figs than dates are there"
    ),
    Perspective.EXPRESSION_REPLACEMENT: "<new_question>Anna has 12 figs and eats 5. How many are left?</new_question>",
    Perspective.REORGANISE: BOXED,
    Perspective.NESTED: NESTED,
}
KNOWN = {
    Perspective.REPHRASE: {"17"},
    Perspective.BF_TRANS: {"12", "5"},
    Perspective.EXPRESSION_REPLACEMENT: {"7"},
    Perspective.REORGANISE: {"17"},
    Perspective.NESTED: {"17"},
}
"""Targets that may be known of what comes back; None for all others."""
BY_RULE = (Perspective.FOBAR, Perspective.NEW_NUMBERS)
"""No teacher is asked for these, where a seed has a program."""
ASKED = tuple(perspective for perspective in Perspective if perspective not in BY_RULE)


def good(perspective: Perspective) -> str:
    if perspective is not Perspective.BF_TRANS:
        return GOOD[perspective]
    one = task(perspective)
    other = {"12": "5", "5": "12"}[str(ASKS[perspective](EASY, Seeds(SEEDS), Random(one.number)).target)]
    return TURNED.replace("{0}", other)


def teacher(texts: Iterable[str | Completion | Exception]) -> Teacher:
    return Teacher(
        model=ScriptedModel(texts=texts), seeds=Seeds(SEEDS), temperature=0.7, top_p=1.0, max_tokens=500
    )


def task(perspective: Perspective, seed: Question = EASY) -> Task:
    return tasks([seed], [perspective], samples=1, maker="test")[0]


@pytest.mark.parametrize("perspective", ASKED)
async def test_a_good_reply_becomes_a_question(perspective: Perspective) -> None:
    asked = task(perspective)
    done = await teacher([f"Here it is.\n{good(perspective)}\nDone."]).augment(asked)
    (row,) = done.rows
    assert done.counts == {perspective.value: 1}
    assert row.problem.target in KNOWN.get(perspective, {None})
    assert (row.problem.seed_id, row.problem.augmentation) == ("easy", perspective)
    assert (row.problem.id, row.problem.source) == (asked.id, "own")
    block = re.sub(r"\A<\w+>|</\w+>\Z", "", good(perspective))
    if perspective.rewrites_solution:
        assert (row.problem.question, row.rationale) == (EASY.problem.question, block)
    else:
        assert (row.problem.question, row.rationale) == (block, None)


@pytest.mark.parametrize("perspective", ASKED)
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty reply"),
        (" \n", "empty reply"),
        ("I'm sorry, but I can't help with that.", "no block"),
        ("Anna has some fruit. How much?", "no block"),
        ("<new_{0}></new_{0}>", "empty block"),
        ("<new_{0}>What?", "block not closed"),
        ("<new_{0}>What?</new_{0}> or <new_{0}>Who?</new_{0}>", "several blocks"),
        (ModelRefused("too long"), "refused by the server"),
    ],
)
async def test_a_reply_that_does_not_count_is_counted(
    perspective: Perspective, reply: str | Exception, reason: str
) -> None:
    name = "solution" if perspective.rewrites_solution else "question"
    text = reply.replace("{0}", name) if isinstance(reply, str) else reply
    done = await teacher([text]).augment(task(perspective))
    assert (done.rows, done.counts) == ((), {f"{perspective}, {reason}": 1})


@pytest.mark.parametrize(
    ("perspective", "reply", "reason"),
    [
        (Perspective.REPHRASE, f"<new_question>{EASY.problem.question.replace(' ', '  ')}</new_question>", "unchanged"),
        (Perspective.BF_TRANS, UNKNOWN, "still an unknown"),
        (Perspective.REORGANISE, "<new_solution>It is 17.</new_solution>", "no boxed answer"),
        (Perspective.REORGANISE, "<new_solution>It is $\\boxed{18}$.</new_solution>", "boxes another answer"),
        (Perspective.NESTED, NESTED.replace("17", "7"), "boxes another answer"),
        (Perspective.NESTED, BOXED, "missing section"),
        (Perspective.NESTED, NESTED.replace("[Plan]", "Plan"), "missing section"),
        (Perspective.NESTED, NESTED.replace("[Outline]", "[Plan]"), "missing section"),
        (Perspective.NESTED, NESTED.replace("\\boxed{17}", "17"), "no boxed answer"),
    ],
)  # fmt: skip
async def test_a_block_that_is_not_as_asked(perspective: Perspective, reply: str, reason: str) -> None:
    done = await teacher([reply]).augment(task(perspective))
    assert (done.rows, done.counts) == ((), {f"{perspective}, {reason}": 1})


async def test_a_block_that_was_cut_off() -> None:
    cut = Completion(
        text="<new_question>Anna", finish_reason=FinishReason.LENGTH, prompt_tokens=0, completion_tokens=0
    )
    done = await teacher([cut]).augment(task(Perspective.HARDER))
    assert done.counts == {"alteration_harder, cut off": 1}


@pytest.mark.parametrize(
    ("perspective", "seed", "reason"),
    [
        (Perspective.REPHRASE, BARE, "no target"),
        (Perspective.FOBAR, BARE, "no target"),
        (Perspective.BF_TRANS, HARD, "no number to mask"),
        (Perspective.EXPRESSION_REPLACEMENT, BARE, "no program"),
        (Perspective.INTERPOLATION, HARD, "nothing harder"),
        (Perspective.NESTED, BARE, "no solution"),
    ],
)
async def test_nothing_is_asked_where_there_is_nothing_to_ask(
    perspective: Perspective, seed: Question, reason: str
) -> None:
    done = await teacher([]).augment(task(perspective, seed))
    assert (done.rows, done.counts) == ((), {f"{perspective}, {reason}": 1})


async def test_interpolation_goes_towards_a_harder_seed_and_says_which() -> None:
    model = ScriptedModel(texts=[OTHER])
    asking = Teacher(model=model, seeds=Seeds(SEEDS), temperature=0.0, top_p=1.0, max_tokens=500)
    (row,) = (await asking.augment(task(Perspective.INTERPOLATION))).rows
    assert row.problem.tags == ("harder:hard",)
    prompt = str(model.prompts[0])
    assert EASY.problem.question in prompt and HARD.problem.question in prompt
    assert [difficulty(seed) for seed in SEEDS] == [0, 3, 0]


@pytest.mark.parametrize("perspective", [one for one in Perspective if one is not Perspective.FOBAR])
def test_a_prompt_has_the_places_that_its_perspective_fills_and_tells_its_source(
    perspective: Perspective,
) -> None:
    one = task(perspective)
    seed = HARD if perspective is Perspective.NEW_NUMBERS else EASY  # HARD has no program
    values = ASKS[perspective](seed, Seeds(SEEDS), Random(one.number)).values
    assert places(perspective) <= values.keys()
    prompt = rendered(perspective, values)
    assert prompt_file(perspective).read_text("utf-8").startswith("<!--") and "<!--" not in prompt
    assert all(values[place] in prompt for place in places(perspective))
    wanted = "new_solution" if perspective.rewrites_solution else "new_question"
    assert f"between <{wanted}> and </{wanted}>" in prompt


def test_what_is_filled_in_is_not_filled_again() -> None:
    prompt = rendered(Perspective.REPHRASE, {"question": "{question} {answer} \\boxed{x}"})
    assert "{question} {answer} \\boxed{x}" in prompt


def test_nested_asks_for_the_sections_that_are_required() -> None:
    prompt = rendered(Perspective.NESTED, {"question": "", "solution": "", "answer": ""})
    assert all(section in prompt for section in SECTIONS)


def test_calculator_marks_are_not_shown_and_the_masked_number_neither() -> None:
    shown = ASKS[Perspective.REORGANISE](EASY, Seeds(SEEDS), Random(0)).values["solution"]
    assert shown == "12 + 5 = 17\n#### 17"
    for seed in range(8):
        asked = ASKS[Perspective.BF_TRANS](EASY, Seeds(SEEDS), Random(seed))
        assert asked.target is not None and asked.target not in re.findall(r"\d+", asked.values["masked"])


def test_prompts_are_told_apart_by_their_hashes() -> None:
    assert len(set(digests(Perspective).values())) == len(Perspective) - 1  # FOBAR is a rule's


def test_ids_are_stable_and_distinct() -> None:
    work = tasks(SEEDS, tuple(Perspective), samples=2, maker="m")
    ids = [one.id for one in work]
    assert ids == [one.id for one in tasks(SEEDS, tuple(Perspective), samples=2, maker="m")]
    others = [one.id for one in tasks(SEEDS, tuple(Perspective), samples=2, maker="n")]
    assert len({*ids, *others}) == 2 * len(ids) == 2 * 3 * len(Perspective) * 2


async def test_an_estimate_counts_what_is_then_sent() -> None:
    work = tasks(SEEDS, tuple(Perspective), samples=2, maker="m")
    asking = teacher(repeat(OTHER))
    estimate = estimated(work, Seeds(SEEDS), max_new_tokens=500)
    for one in work:
        await asking.augment(one)
    assert isinstance(asking.model, ScriptedModel)
    assert len(asking.model.prompts) == estimate.requests
    assert sum(len(str(prompt)) for prompt in asking.model.prompts) // 4 == estimate.prompt_tokens
    by_rule = 2 * len(BY_RULE)  # of EASY, which has a program
    assert estimate.requests + sum(estimate.left_out.values()) + by_rule == len(work)
    assert estimate.most_new_tokens == estimate.requests * 500


async def test_a_server_that_does_not_serve_is_noticed_first() -> None:
    await require_served(ScriptedModel(texts=[" 2"]))
    with pytest.raises(ModelUnreachable):
        await require_served(ScriptedModel(texts=[ModelUnreachable("gone")]))
    with pytest.raises(ModelRefused):
        await require_served(ScriptedModel(texts=[ModelRefused("no such model")]))


@pytest.mark.parametrize("torn", [b"", b'{"key": "harder-0', b"\xe2\x80"])
async def test_a_teacher_that_goes_down_loses_nothing_and_is_asked_for_the_rest_only(
    tmp_path: Path, torn: bytes
) -> None:
    seeds = [
        Question(problem=Problem(id=str(n), question=f"What is {n} + 1?", target=str(n + 1)))
        for n in range(6)
    ]
    work = tasks(seeds, (Perspective.REPHRASE, Perspective.HARDER), samples=1, maker="m")
    replies = [
        f"<new_question>What is the sum of {n // 2} and 1, said once more?</new_question>" for n in range(11)
    ] + ["no"]
    identity = JobIdentity(stage="augment", inputs={}, settings={})

    async def run(name: str, texts: list[str | Exception]) -> ScriptedModel:
        asking = teacher(texts)
        try:
            await run_job(
                work, asking.augment, out=tmp_path / name, identity=identity, key=lambda one: one.id
            )
        finally:
            assert isinstance(asking.model, ScriptedModel)
            asked.append(len(asking.model.prompts))
        return asking.model

    asked: list[int] = []
    await run("whole.jsonl", [*replies])
    with pytest.raises(ModelUnreachable, match="gone"):
        await run("broken.jsonl", [*replies[:5], ModelUnreachable("gone")])
    with (tmp_path / "broken.jsonl.part").open("ab") as part:
        part.write(torn)
    await run("broken.jsonl", [*replies[5:]])
    assert asked == [12, 6, 7]
    for suffix in ("", ".manifest.json"):
        whole = (tmp_path / f"whole.jsonl{suffix}").read_bytes()
        assert (tmp_path / f"broken.jsonl{suffix}").read_bytes() == whole
    assert len((tmp_path / "whole.jsonl").read_text("utf-8").splitlines()) == 11


class _Server(BaseHTTPRequestHandler):
    """Serves one model, which rephrases everything to a question about the length of the prompt."""

    def do_GET(self) -> None:
        self._answer("application/json", json.dumps({"data": [{"id": "teacher"}]}))

    def do_POST(self) -> None:
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        seed = prompt.rpartition("<question>")[2].partition("</question>")[0].strip()
        text = f"<new_question>Tell me, please, once you have read all of it, this: {seed}</new_question>"
        event = json.dumps({"choices": [{"text": text, "finish_reason": "stop"}]})
        self._answer("text/event-stream", f"data: {event}\n\ndata: [DONE]\n\n")

    def _answer(self, kind: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_command_asks_a_server_and_says_what_it_would_ask(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    questions, out = tmp_path / "seeds.jsonl", tmp_path / "out.jsonl"
    seeds = list(islice(own_questions(0), 5))
    questions.write_text("".join(json.dumps(to_json(seed)) + "\n" for seed in seeds), encoding="utf-8")

    def run(dry_run: bool = False) -> str:
        augment(
            questions,
            out,
            "rephrase,fobar,alteration_harder,alteration_changed_goal",
            teacher=[address],
            samples=2,
            dry_run=dry_run,
        )
        return capsys.readouterr().out

    assert run(dry_run=True).startswith("30 requests, about ") and not out.exists()
    assert "alteration_harder: 10 of 10 kept" in run()
    rows = load_records(out, Question)
    assert len(rows) >= 20 and {row.problem.seed_id for row in rows} == {seed.problem.id for seed in seeds}
    identity = read_manifest(out).identity
    assert (identity.model, len(identity.prompts), identity.settings["temperature"]) == ("teacher", 3, 0.7)
    once = out.read_bytes()
    assert " of 10 kept; " in run() and out.read_bytes() == once
