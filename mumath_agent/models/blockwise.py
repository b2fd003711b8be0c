"""A model of MathCoder's family, asked block by block as its own client asks it.

The dialect of blocks is right without this: what a model writes behind a program is cut off. But a model that never
writes the mark that asks for an output goes on to the end of its message every time, and nobody reads it. Here each
block is a request of its own, the turn ends with the first program, and the server's prefix cache makes the requests
cheap. The turn as a whole stays within `max_tokens`, so that text after text comes to an end.
"""

from dataclasses import replace

from mumath_agent.dialects.blocks import END, holds_program, leaves_block_open
from mumath_agent.models import as_text
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason


class Blockwise:
    """See the module; implements `CompletionModel`."""

    def __init__(self, model: CompletionModel) -> None:
        self.model = model

    @property
    def name(self) -> str:
        return self.model.name

    async def warm_up(self) -> None:
        """See `CompletionModel.warm_up`."""
        await self.model.warm_up()

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """See `CompletionModel.complete`; the text holds the blocks' end marks."""
        begun, blocks = as_text(request.prompt, self.name), list[Completion]()
        text, left = "", request.max_tokens
        while True:
            written = await self.model.complete(
                replace(request, prompt=begun + text, stop=(END, *request.stop), max_tokens=left), on_text
            )
            blocks.append(written)
            text += written.text
            if written.finish_reason is FinishReason.LENGTH or not leaves_block_open(written.text):
                return _turn(text, blocks, written.finish_reason)  # cut, or the end of the message
            text += END
            if on_text:
                on_text(END)
            left -= max(1, written.completion_tokens)  # 0: the server doesn't count
            if holds_program(text):
                return _turn(text, blocks, FinishReason.STOP)
            if left <= 0:
                return _turn(text, blocks, FinishReason.LENGTH)

    async def aclose(self) -> None:
        """See `CompletionModel.aclose`."""
        await self.model.aclose()


def _turn(text: str, blocks: list[Completion], finish: FinishReason) -> Completion:
    return Completion(
        text=text,
        finish_reason=finish,
        prompt_tokens=blocks[0].prompt_tokens,
        completion_tokens=sum(block.completion_tokens for block in blocks),
    )
