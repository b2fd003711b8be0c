"""Request one block at a time from a model of MathCoder's family, as MathCoder's own client does.

The `blocks` dialect is correct without this: it cuts off what a model writes after a program. But a model that never
writes the mark that asks for an output would write its whole message every turn, only to have it cut off. Here each
block is its own request, the turn ends with the first program, and the server's prefix cache makes the requests cheap.
The turn as a whole stays within `max_tokens`, so that a model that only writes text comes to an end.
"""

from dataclasses import replace

from mumath_agent.dialects.blocks import END, holds_program, leaves_block_open
from mumath_agent.models import as_text
from mumath_agent.models.calibration import TAIL_TOKENS, log_probability
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason


class Blockwise:
    """A `CompletionModel` that requests a turn from `model` block by block."""

    def __init__(self, model: CompletionModel) -> None:
        """Wrap a model that continues raw text."""
        self.model = model

    @property
    def name(self) -> str:
        """The wrapped model's name."""
        return self.model.name

    async def warm_up(self) -> None:
        """Warm up the wrapped model."""
        await self.model.warm_up()

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the prompt by one turn; the text includes the end marks of its blocks."""
        prompt, blocks = as_text(request.prompt, self.name), list[Completion]()
        given = request.prompt_ids
        text, left = "", request.max_tokens
        while True:
            asked = replace(request, prompt=prompt + text, stop=(END, *request.stop), max_tokens=left)
            if given is not None:
                asked = replace(asked, prompt_ids=(*given, *_ids(blocks)))
            block = await self.model.complete(asked, on_text)
            blocks.append(block)
            text += block.text
            if block.finish_reason is FinishReason.LENGTH or not leaves_block_open(block.text):
                return _turn(text, blocks, block.finish_reason)  # cut, or the end of the message
            text += END
            if on_text:
                on_text(END)
            left -= max(1, block.completion_tokens)  # 0: the server doesn't count
            if holds_program(text):
                return _turn(text, blocks, FinishReason.STOP)
            if left <= 0:
                return _turn(text, blocks, FinishReason.LENGTH)

    async def aclose(self) -> None:
        """Close the wrapped model."""
        await self.model.aclose()


def _turn(text: str, blocks: list[Completion], finish: FinishReason) -> Completion:
    return Completion(
        text=text,
        finish_reason=finish,
        prompt_tokens=blocks[0].prompt_tokens,
        completion_tokens=sum(block.completion_tokens for block in blocks),
        logprob=log_probability(blocks),
        tail_logprobs=tuple(n for block in blocks for n in block.tail_logprobs or ())[-TAIL_TOKENS:] or None,
        token_ids=_ids(blocks) or None,
        token_logprobs=tuple(n for block in blocks for n in block.token_logprobs or ()) or None,
    )


def _ids(blocks: list[Completion]) -> tuple[int, ...]:
    return tuple(token for block in blocks for token in block.token_ids or ())
