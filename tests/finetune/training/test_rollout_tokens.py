"""Attempts in tokens, by every kind of tokenizer: the ids are the text, and the mask is the one that training has."""

from itertools import pairwise

import pytest

pytest.importorskip("torch")

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from finetune.training.encode import UNTRAINED, Row, encode
from mumath_agent.bridge import run_sync
from mumath_agent.dialects import Fenced
from mumath_agent.models.tokens import TokenRecorder, TokensDiffer, tokenizer_of
from mumath_agent.rollouts import Rollout, check
from mumath_agent.transcript import Transcript
from tests.dictated import Dictated, after, attempt, token_of
from tests.toy import TOY

pytestmark = pytest.mark.train

FAMILIES = ("tokenizer", "llama2_like", "llama3_like", "toy")
FENCED = Fenced()
LINES = st.text("ab 1+\n`é∑𝑥\t\\{}$", max_size=30)
PROGRAM = "\n```python\n{}\n```\n```output\n7"
TURNS = st.lists(st.tuples(LINES, st.sampled_from(["a = 1", "print(é)", ""])), max_size=3)
PIECES = st.lists(st.integers(0, 80), max_size=5)
"""Where a text is cut before it is tokenised: models write in other pieces than a tokenizer would."""


def family(request: pytest.FixtureRequest, name: str) -> tuple[Tokenizer, int]:
    if name == "toy":
        own = tokenizer_of(TOY)
        return own, token_of(own, "<|end|>")
    fast: PreTrainedTokenizerFast = request.getfixturevalue(name)
    assert isinstance(fast.eos_token_id, int)
    return tokenizer_of(fast.backend_tokenizer), fast.eos_token_id


def in_pieces(tokenizer: Tokenizer, text: str, cuts: list[int]) -> list[int]:
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    parts = (text[start:end] for start, end in pairwise(ends))
    return [token for part in parts for token in tokenizer.encode(part, add_special_tokens=False).ids]


def rolled_out(
    tokenizer: Tokenizer, end: int, turns: list[list[int]], outputs: list[str]
) -> tuple[Rollout, Transcript, Dictated]:
    model = Dictated(tokenizer=tokenizer, turns=turns, end=end)
    recorder = TokenRecorder(model, tokenizer)
    transcript = run_sync(attempt(recorder, FENCED, outputs, turns=len(turns)))
    tokens = recorder.tokens(transcript)
    rollout = Rollout(
        prompt_ids=recorder.prompt_ids,
        completion_ids=tokens.ids,
        logprobs=tokens.logprobs,
        env_mask=tokens.written,
        text=tokens.text,
        reward=None,
    )
    return rollout, transcript, model


@pytest.mark.parametrize("name", FAMILIES)
def test_ids_are_the_text_and_every_prompt_was_their_beginning(
    request: pytest.FixtureRequest, name: str
) -> None:
    tokenizer, end = family(request, name)

    @settings(max_examples=60, deadline=None)
    @given(TURNS, LINES, PIECES, st.lists(st.text(max_size=30), min_size=3, max_size=3), st.booleans())
    @example([], "𝑥", [], ["", "", ""], True)  # its bytes are more characters than it is
    @example([("𝑥", "a = 1")], "𝑥", [], ["𝑥", "", ""], True)
    def holds(
        turns: list[tuple[str, str]], last: str, cuts: list[int], outputs: list[str], ends: bool
    ) -> None:
        written = [in_pieces(tokenizer, said + PROGRAM.format(code), cuts) for said, code in turns]
        written.append(in_pieces(tokenizer, f"{last}x", cuts) + [end] * ends)
        rollout, transcript, model = rolled_out(tokenizer, end, written, outputs)
        assert rollout.text == transcript.text
        check(rollout, tokenizer)
        whole = rollout.prompt_ids + rollout.completion_ids
        assert all(whole[: len(asked.prompt_ids or ())] == asked.prompt_ids for asked in model.asked)
        assert all(
            (value == 0.0) == (not own) for value, own in zip(rollout.logprobs, rollout.env_mask, strict=True)
        )
        assert (whole[-1] == end and rollout.env_mask[-1]) == (ends and len(model.asked) == len(written))

    holds()


@pytest.mark.parametrize("name", FAMILIES)
def test_whatever_a_model_writes_is_in_the_ids_or_refused(request: pytest.FixtureRequest, name: str) -> None:
    tokenizer, end = family(request, name)
    any_ids = st.lists(st.integers(3, tokenizer.get_vocab_size() - 1), min_size=1, max_size=20)
    program = tokenizer.encode(PROGRAM.format("a = 1"), add_special_tokens=False).ids

    @settings(max_examples=60, deadline=None)
    @given(any_ids, any_ids)
    def holds(first: list[int], last: list[int]) -> None:
        try:
            rollout, transcript, _ = rolled_out(tokenizer, end, [first + program, last], ["7"] * 2)
        except TokensDiffer:  # half a character before an output, say
            return
        assert rollout.text == transcript.text
        check(rollout, tokenizer)

    holds()


SOLUTIONS = {
    "no code": ["2 + 2 = 4\n"],
    "a program": ["Add." + PROGRAM.format("print(7)"), "The answer is $\\boxed{7}$."],
    "a blank line before the header": ["```python\nprint(7)\n```\n\n```output", "So 7."],
    "two programs": ["A." + PROGRAM.format("a = 1"), "B." + PROGRAM.format("b = 2"), "\\boxed{7}"],
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("solution", SOLUTIONS)
def test_the_mask_is_that_of_training(request: pytest.FixtureRequest, name: str, solution: str) -> None:
    """The model wrote only what is trained; what is trained besides is the line of the header that it left out."""
    tokenizer, end = family(request, name)
    turns = [tokenizer.encode(text, add_special_tokens=False).ids for text in SOLUTIONS[solution]]
    rollout, transcript, _ = rolled_out(tokenizer, end, [*turns[:-1], [*turns[-1], end]], ["7"] * 3)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=tokenizer.id_to_token(end))
    (row,), dropped = encode(
        [Row(question=transcript.question, solution=transcript.text)], fast, FENCED, max_tokens=999
    )
    assert dropped == 0
    ids = [*rollout.prompt_ids, *rollout.completion_ids]
    if ids != row.ids.tolist():  # where a piece begins matters to this tokenizer
        assert name != "toy"
        return
    ours = [False] * len(rollout.prompt_ids) + list(rollout.env_mask)
    trained = [label != UNTRAINED for label in row.labels]
    assert not any(mine and not theirs for mine, theirs in zip(ours, trained, strict=True))
    besides = [token for token, mine, theirs in zip(ids, ours, trained, strict=True) if theirs and not mine]
    assert set(after(tokenizer, [], besides).replace("```output", "").split()) == set()
