"""Turns of MathCoder, asked block by block: the same text, and nothing behind a program."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.bridge import run_sync
from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.blocks import block
from mumath_agent.models.blockwise import Blockwise
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason
from mumath_agent.testing import ScriptedModel
from mumath_agent.transcript import Transcript

BLOCKS = get_dialect("blocks")
PROMPT = "<|assistant|>"


class Continuing:
    """A model that would write `message` in one go, a character a token, and stops where it is told to."""

    name = "continuing"

    def __init__(self, message: str) -> None:
        self.message = message
        self.written = 0

    async def warm_up(self) -> None: ...

    async def aclose(self) -> None: ...

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        rest = self.message[len(str(request.prompt)) - len(PROMPT) :]
        finish, end = (
            FinishReason.STOP,
            min([at for s in request.stop if (at := rest.find(s)) >= 0], default=len(rest)),
        )
        if end > request.max_tokens:
            finish, end = FinishReason.LENGTH, request.max_tokens
        self.written += end
        return Completion(text=rest[:end], finish_reason=finish, prompt_tokens=5, completion_tokens=end)


def turn(model: CompletionModel, max_tokens: int = 1000) -> Completion:
    return run_sync(model.complete(CompletionRequest(prompt=PROMPT, stop=BLOCKS.stop, max_tokens=max_tokens)))


def kept(completion: Completion) -> str:
    return BLOCKS.with_completion(Transcript(question="q"), completion).text


parts = st.builds(block, st.sampled_from(["text", "text", "code"]), st.text("ab \n<|", max_size=8))
endings = st.sampled_from(["", "<|endofmessage|>", "<|execution|>9<|endofblock|>"])


@given(st.lists(parts, max_size=5).map("".join), endings, st.integers(1, 200))
def test_the_transcript_is_the_same_as_without(message: str, ending: str, max_tokens: int) -> None:
    whole = turn(Continuing(message + ending))
    asked = Continuing(message + ending)
    by_blocks = turn(Blockwise(asked), max_tokens)
    if by_blocks.finish_reason is FinishReason.STOP:
        assert kept(by_blocks) == kept(whole)
    assert by_blocks.completion_tokens == asked.written <= max_tokens
    assert (message + ending).startswith(by_blocks.text)


def test_nothing_is_written_behind_a_program() -> None:
    asked = Continuing(block("text", "So") + block("code", "1") + block("text", "It is 2, is it not?"))
    assert turn(Blockwise(asked)).text == block("text", "So") + block("code", "1")
    assert asked.written == len("<|text|>So<|code|>1")


@pytest.mark.parametrize("counted", [0, 3])
def test_text_after_text_meets_the_token_limit(counted: int) -> None:
    part = Completion(
        text="<|text|>so", finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=counted
    )
    completion = turn(Blockwise(ScriptedModel(texts=[part] * 90)), max_tokens=30)
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.text == block("text", "so") * (30 // (counted or 1))


def test_pieces_add_up_to_the_text() -> None:
    pieces: list[str] = []
    model = Blockwise(ScriptedModel(texts=["<|text|>So", "<|code|>1"]))
    completion = run_sync(
        model.complete(CompletionRequest(prompt=PROMPT, stop=BLOCKS.stop, max_tokens=99), pieces.append)
    )
    assert "".join(pieces) == completion.text


def test_log_probabilities_of_the_blocks_are_the_turns() -> None:
    part = Completion(
        text="<|text|>so",
        finish_reason=FinishReason.STOP,
        prompt_tokens=1,
        completion_tokens=30,
        logprob=-60.0,
        tail_logprobs=(-2.0,) * 30,
    )
    last = replace(part, text="<|code|>1", logprob=-30.0, tail_logprobs=(-1.0,) * 30)
    completion = turn(Blockwise(ScriptedModel(texts=[part, last])))
    assert completion.logprob == -90 and completion.tail_logprobs == (-2.0, -2.0, *(-1.0,) * 30)
