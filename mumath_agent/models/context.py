"""Recognise the error for a text that exceeds the model's context, and work out how many tokens would have fitted.

There is no standard for it: some servers name the error, some only send a sentence. The sentences of vLLM, SGLang,
llama.cpp, llama-cpp-python and OpenAI are recognised, with the numbers in them. A text that doesn't fit isn't a
failure: a shorter completion is requested, or the attempt ends at the token limit.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from mumath_agent.errors import ModelRefused
from mumath_agent.records import Completion, FinishReason

LONGER_CONTEXT = "give the model a longer context (num_ctx in Ollama, -c in llama.cpp)"
_log = logging.getLogger(__name__)
_warned = set[str]()
_NAMED = ("context_length_exceeded", "exceed_context_size_error")
"""The names that OpenAI and llama.cpp give the error."""
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
    """The prompt, or the prompt with the requested tokens, exceeds the context."""

    def __init__(self, message: str, *, context_tokens: int | None, prompt_tokens: int | None) -> None:
        """Take the message, and the numbers as far as the server gave them."""
        super().__init__(message)
        self.context_tokens = context_tokens
        self.prompt_tokens = prompt_tokens

    @property
    def room_tokens(self) -> int:
        """How many tokens can be requested instead; 0 if there is no room or it isn't known."""
        return max(0, (self.context_tokens or 0) - max(1, self.prompt_tokens or 1))


async def within_context(max_tokens: int, ask: Callable[[int], Awaitable[Completion]]) -> Completion:
    """Return what `ask` returns for `max_tokens`, or for as many tokens as fit, or `nothing_fits` if none do."""
    while True:
        try:
            return await ask(max_tokens)
        except TooLong as refused:
            if not 0 < refused.room_tokens < max_tokens:
                return nothing_fits(refused.prompt_tokens or 0)
            max_tokens = refused.room_tokens


def warn_of_lost_prompt(model: str, completions: Sequence[Completion]) -> None:
    """Warn, once for each model, if an attempt's prompts shrank on the way: each begins the next, so one was cut.

    A count of 0 is unknown. Attempts with thoughts aren't judged, for chat templates may leave earlier ones out.
    """
    if model in _warned or any("</think>" in completion.text for completion in completions):
        return
    counts = [completion.prompt_tokens for completion in completions if completion.prompt_tokens]
    for before, after in pairwise(counts):
        if after < before:
            _warned.add(model)
            _log.warning(
                "the server of %s read %d tokens of a prompt that goes on from one of %d: it dropped the beginning; %s",
                *(model, after, before, LONGER_CONTEXT),
            )
            return


def nothing_fits(prompt_tokens: int) -> Completion:
    """Return the empty completion of a prompt that leaves no room for one."""
    return Completion(
        text="", finish_reason=FinishReason.LENGTH, prompt_tokens=prompt_tokens, completion_tokens=0
    )


def too_long(error: object, message: str) -> TooLong | None:
    """Return a `TooLong` with `message` if that is what the server's error means, else None.

    `error` is the server's error object, or its text.
    """
    fields = error if isinstance(error, Mapping) else {}
    sentence = str(fields.get("message") or error)
    named = fields.get("code") in _NAMED or fields.get("type") in _NAMED
    failed = str(fields.get("code")).startswith(
        "5"
    )  # the message of a broken engine may mention its context, too
    if failed or not (named or _SENTENCE.search(sentence)):
        return None
    return TooLong(
        message,
        context_tokens=_int(fields.get("n_ctx")) or _first(_CONTEXT, sentence),
        prompt_tokens=_int(fields.get("n_prompt_tokens")) or _first(_PROMPT, sentence),
    )


def _first(patterns: Iterable[re.Pattern[str]], sentence: str) -> int | None:
    found = (match for pattern in patterns if (match := pattern.search(sentence)))
    return next((int(match[1]) for match in found), None)


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None
