"""A text that is longer than the model's context: how servers say it, and how many tokens would have fitted.

There is no standard. Some give an error a name, some only a sentence; recognised are the sentences of vLLM, SGLang,
llama.cpp, llama-cpp-python and OpenAI, with the numbers in them. A text that doesn't fit is no broken machinery: it is
asked for shorter, or ends at the token limit.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping

from mumath_agent.errors import ModelRefused
from mumath_agent.records import Completion, FinishReason

_NAMED = ("context_length_exceeded", "exceed_context_size_error")
"""What OpenAI's and llama.cpp's errors are called."""
_SENTENCE = re.compile(r"context (?:length|size|window)|maximum model length|max_model_len", re.IGNORECASE)
_CONTEXT = (
    re.compile(r"(?:context (?:length|size|window)|model length)\D{1,12}?(\d{1,9})", re.IGNORECASE),
    re.compile(r"max_model_len\D{1,3}(\d{1,9})"),
)
_PROMPT = (
    re.compile(r"(\d{1,9}) input tokens"),
    re.compile(r"(\d{1,9})(?: tokens)? (?:in|from) (?:the|your) (?:input|messages|prompt)"),
    re.compile(r"(?:input|input length|prompt|request) \((?:length )?(\d{1,9})", re.IGNORECASE),
)


class TooLong(ModelRefused):
    """The prompt, or the prompt and the tokens asked for, are longer than the context."""

    def __init__(self, said: str, *, context_tokens: int | None, prompt_tokens: int | None) -> None:
        super().__init__(said)
        self.context_tokens = context_tokens
        self.prompt_tokens = prompt_tokens
        """None where the server doesn't say."""

    @property
    def room_tokens(self) -> int:
        """How many tokens may be asked for instead; 0 if that is none, or can't be known."""
        return max(0, (self.context_tokens or 0) - max(1, self.prompt_tokens or 1))


async def within_context(max_tokens: int, ask: Callable[[int], Awaitable[Completion]]) -> Completion:
    """What `ask` returns for `max_tokens`, or for as many as there is room for; if for none, `nothing_fits`."""
    while True:
        try:
            return await ask(max_tokens)
        except TooLong as refused:
            if not 0 < refused.room_tokens < max_tokens:
                return nothing_fits(refused.prompt_tokens or 0)
            max_tokens = refused.room_tokens


def nothing_fits(prompt_tokens: int) -> Completion:
    """The completion of a prompt that leaves no room for one."""
    return Completion(
        text="", finish_reason=FinishReason.LENGTH, prompt_tokens=prompt_tokens, completion_tokens=0
    )


def too_long(error: object, said: str) -> TooLong | None:
    """What a server's error object and its sentence mean, if they mean this; `said` is what a person reads of it."""
    fields = error if isinstance(error, Mapping) else {}
    sentence = str(fields.get("message") or error)
    named = fields.get("code") in _NAMED or fields.get("type") in _NAMED
    failed = str(fields.get("code")).startswith("5")  # an engine that broke may speak of its context, too
    if failed or not (named or _SENTENCE.search(sentence)):
        return None
    return TooLong(
        said,
        context_tokens=_int(fields.get("n_ctx")) or _first(_CONTEXT, sentence),
        prompt_tokens=_int(fields.get("n_prompt_tokens")) or _first(_PROMPT, sentence),
    )


def _first(patterns: Iterable[re.Pattern[str]], sentence: str) -> int | None:
    found = (match for pattern in patterns if (match := pattern.search(sentence)))
    return next((int(match[1]) for match in found), None)


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None
