"""A model that repeats recordings: it finds its place from the prompt alone."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.bridge import run_sync
from mumath_agent.dialects import get_replay_dialect, get_text_dialect
from mumath_agent.dialects.blocks import block
from mumath_agent.errors import ModelRefused
from mumath_agent.protocols import CompletionRequest, TextDialect
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason
from mumath_agent.testing import Recording, ReplayModel
from mumath_agent.transcript import Transcript

pytestmark = pytest.mark.anyio

PROGRAM = {
    "fenced": "```python\nprint({n})\n```\n",
    "blocks": block("code", "{n}"),
    "chat": "```python\nprint({n})\n```\nThis prints {n}.",
}
WORDS = {"fenced": "So it is {n}.", "blocks": block("text", "So it is {n}."), "chat": "So it is {n}."}
dialects = st.sampled_from(["fenced", "blocks", "chat"]).map(get_replay_dialect)


def turn(text: str, finish: FinishReason = FinishReason.STOP, tokens: int = 0) -> Completion:
    return Completion(text=text, finish_reason=finish, prompt_tokens=tokens, completion_tokens=tokens)


def recording(
    dialect: TextDialect, question: str, numbers: Sequence[int], last: str | None = None
) -> Recording:
    """Return a recording with a program for each number, then words."""
    programs = [turn(PROGRAM[dialect.name].format(n=n)) for n in numbers]
    ending = [] if last is None else [turn(WORDS[dialect.name].format(n=last))]
    return Recording(question=question, turns=(*programs, *ending))


async def continued(model: ReplayModel, transcript: Transcript) -> Completion:
    return await model.complete(
        CompletionRequest(prompt=model.dialect.prompt(transcript), stop=model.dialect.stop, max_tokens=9)
    )


async def written(model: ReplayModel, question: str, output: str = "1") -> list[str]:
    """Return what the model writes for a question, turn by turn, as the graph would ask for it."""
    dialect, transcript, texts = model.dialect, Transcript(question=question), []
    while True:
        completion = await continued(model, transcript)
        texts.append(completion.text)
        transcript = dialect.with_completion(transcript, completion)
        if dialect.pending_code(transcript) is None:
            return texts
        execution = Execution(status=ExecutionStatus.OK, stdout=output)
        transcript = dialect.with_output(transcript, execution, max_chars=400)


@given(dialects, st.lists(st.lists(st.integers(0, 2), max_size=3), min_size=1, max_size=4), st.text())
def test_every_recording_is_written_again_whatever_the_programs_print(
    dialect: TextDialect, recorded: list[list[int]], output: str
) -> None:
    recordings = [recording(dialect, f"Question {n}?", numbers, str(n)) for n, numbers in enumerate(recorded)]
    model = ReplayModel(recordings=recordings, dialect=dialect)
    for each in recordings:
        texts = run_sync(written(model, each.question, output))
        assert texts == [completion.text for completion in each.turns]


async def test_recordings_of_one_question_are_served_in_turn_and_then_followed() -> None:
    fenced = get_text_dialect("fenced")
    recordings = [recording(fenced, "q", [5], "a"), recording(fenced, "q", [6], "b")]
    model = ReplayModel(recordings=recordings)
    first, second, third = [await written(model, "q") for _ in range(3)]
    assert [first[1], second[1], third[1]] == ["So it is a.", "So it is b.", "So it is a."]


async def test_recordings_that_part_late_are_each_written_once() -> None:
    fenced = get_text_dialect("fenced")
    recordings = [recording(fenced, "q", [5], "a"), recording(fenced, "q", [5], "b")]
    model = ReplayModel(recordings=recordings)
    assert [(await written(model, "q"))[1] for _ in range(2)] == ["So it is a.", "So it is b."]


async def test_a_recording_that_broke_off_goes_on_with_an_empty_completion_cut_by_the_limit() -> None:
    model = ReplayModel(recordings=[recording(get_text_dialect("fenced"), "q", [5])])
    assert (await written(model, "q"))[1:] == [""]


async def test_an_output_the_model_made_up_is_part_of_its_turn() -> None:
    invented = "<|execution|>7<|endofblock|>" + block("code", "1")
    blocks = get_text_dialect("blocks")
    model = ReplayModel(
        recordings=[Recording(question="q", turns=(turn(invented), turn(block("text", "7"))))], dialect=blocks
    )
    # Asked without stop strings, as by a server that doesn't know them.
    transcript = blocks.with_completion(Transcript(question="q"), turn(invented))
    execution = Execution(status=ExecutionStatus.OK, stdout="1")
    transcript = blocks.with_output(transcript, execution, max_chars=400)
    assert (await continued(model, transcript)).text == block("text", "7")


async def test_white_space_of_another_client_is_no_other_solution() -> None:
    model = ReplayModel(recordings=[recording(get_text_dialect("fenced"), "q", [5], "a")])
    prompt = "<|user|>\nq\n<|assistant|>\n```python\nprint(5)\n```\n\n```output\n5\n```\n"
    assert (await model.complete(CompletionRequest(prompt=prompt, max_tokens=9))).text == "So it is a."


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        ("```python\nprint(6)\n```\n```output\n5\n```\n", "differs from the prompt"),
        ("```python\nprint(5)\n```\n```output\n", "differs from the prompt"),
        ("```python\nprint(5)\n```\n```output\n5\n```\nSo it is a.", "solution ended"),
    ],
)
async def test_a_prompt_that_follows_from_no_recording_is_refused(solution: str, reason: str) -> None:
    model = ReplayModel(recordings=[recording(get_text_dialect("fenced"), "q", [5], "a")])
    with pytest.raises(ModelRefused, match=reason):
        await model.complete(
            CompletionRequest(prompt=f"<|user|>\nq\n<|assistant|>\n{solution}", max_tokens=9)
        )


async def test_an_unknown_question_is_refused_with_its_end() -> None:
    model = ReplayModel(recordings=[recording(get_text_dialect("fenced"), "q", [5], "a")])
    with pytest.raises(ModelRefused, match=r"nothing was recorded.*other"):
        await continued(model, Transcript(question="another or other"))


async def test_token_counts_are_the_recorded_ones_or_a_guess() -> None:
    turns = (turn("12345678", tokens=3),)
    model = ReplayModel(recordings=[Recording(question="q", turns=turns)])
    assert (await continued(model, Transcript(question="q"))).completion_tokens == 3
    model = ReplayModel(recordings=[Recording(question="q", turns=(turn("12345678"),))])
    guessed = await continued(model, Transcript(question="q"))
    assert (guessed.completion_tokens, guessed.prompt_tokens) == (2, len("<|user|>\nq\n<|assistant|>\n") // 4)


async def test_text_behind_a_stop_string_is_not_served() -> None:
    model = ReplayModel(recordings=[Recording(question="q", turns=(turn("one STOP two"),))])
    pieces: list[str] = []
    completion = await model.complete(
        CompletionRequest(prompt="<|user|>\nq\n<|assistant|>\n", stop=("STOP",), max_tokens=9), pieces.append
    )
    assert (completion.text, pieces) == ("one ", ["one "])
