"""Texts longer than the context: every server's way to say it is understood, and none of it is broken machinery."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.models.context import TooLong, too_long, within_context
from mumath_agent.records import Completion, FinishReason

VLLM_PROMPT = (
    "This model's maximum context length is 1024 tokens. However, your prompt contains at least 1025 "
    "input tokens, which exceeds this limit even without any output tokens. Please reduce the length "
    "of the input prompt."
)
VLLM_CHARACTERS = (
    "This model's maximum context length is 1024 tokens. However, your prompt contains 99000 "
    "characters (more than 13312 characters, which is the upper bound for 1024 input tokens). Please "
    "reduce the length of the input prompt."
)
VLLM_BETWEEN = (
    "This model's maximum context length is 4096 tokens. However, you requested 1024 output tokens and your "
    "prompt contains 3200 input tokens, for a total of 4224 tokens. Please reduce the length."
)
VLLM_OLD = (
    "This model's maximum context length is 4096 tokens. However, you requested 4200 tokens (3176 in "
    "the messages, 1024 in the completion). Please reduce the length of the messages or completion."
)
VLLM_MAX_TOKENS = (
    "'max_tokens' or 'max_completion_tokens' is too large: 1024. This model's maximum context length is 512 tokens and "
    "your request has 400 input tokens (1024 > 512 - 400)."
)
SGLANG_BOTH = (
    "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested "
    "a total of 5000 tokens: 4000 tokens from the input messages and 1000 tokens for the completion. "
    "Please reduce the number of tokens."
)
OPENAI = (
    "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (4000 in "
    "your prompt; 1000 for the completion). Please reduce your prompt; or completion length."
)
LLAMA_CPP = {
    "code": 400,
    "message": "request (1407 tokens) exceeds the available context size (256 tokens), try increasing it",
    "type": "exceed_context_size_error",
    "n_prompt_tokens": 1407,
    "n_ctx": 256,
}


@pytest.mark.parametrize(
    ("error", "room"),
    [
        ({"message": VLLM_PROMPT, "type": "BadRequestError", "code": 400}, 0),
        ({"message": VLLM_CHARACTERS, "type": "BadRequestError", "code": 400}, 0),
        ({"message": "Input length (600) exceeds model's maximum context length (512)."}, 0),
        (
            {"message": "max_tokens=3000 cannot be greater than max_model_len=1024. Please request fewer"},
            1023,
        ),
        ({"message": VLLM_BETWEEN}, 896),
        ({"message": VLLM_OLD}, 920),
        ({"message": VLLM_MAX_TOKENS}, 112),
        ({"message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096."}, 0),
        (
            {"message": "The input (61709 tokens) is longer than the model's context length (40960 tokens)."},
            0,
        ),
        (SGLANG_BOTH, 96),
        ({"message": OPENAI, "type": "invalid_request_error", "code": "context_length_exceeded"}, 97),
        (LLAMA_CPP, 0),
        ({"message": "Your input is too long.", "code": "context_length_exceeded"}, 0),
        ({"message": "maximum context length is " + "9" * 5000, "code": 400}, 999_999_998),
    ],
    ids=lambda value: None if isinstance(value, int) else str(value)[:60],
)
def test_how_much_would_have_fitted(error: Any, room: int) -> None:
    refused = too_long(error, "said")
    assert refused is not None and str(refused) == "said"
    assert refused.room_tokens == room


@pytest.mark.parametrize(
    "error",
    [
        "no",
        {},
        None,
        ["context"],
        {"message": "stop: at most 4 strings"},
        {"message": "no room in the KV cache; decrease max_model_len", "code": 500},
        {"message": "temperature has to be positive", "code": 400, "type": ["odd"]},
        {"message": "max_tokens must be at least 1, got 0.", "type": "BadRequestError"},
    ],
)
def test_other_refusals_are_none_of_this(error: Any) -> None:
    assert too_long(error, "said") is None


@pytest.mark.anyio
@given(
    wanted=st.integers(1, 5000),
    answers=st.lists(
        st.tuples(st.none() | st.integers(0, 5000), st.none() | st.integers(0, 5000)), max_size=5
    ),
)
async def test_fewer_are_asked_for_each_time_until_it_fits_or_nothing_does(
    wanted: int, answers: list[tuple[int | None, int | None]]
) -> None:
    asked: list[int] = []
    done = Completion(text="4", finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1)

    async def ask(tokens: int) -> Completion:
        asked.append(tokens)
        if len(asked) > len(answers):
            return done
        context, prompt = answers[len(asked) - 1]
        raise TooLong("no", context_tokens=context, prompt_tokens=prompt)

    completion = await within_context(wanted, ask)
    assert asked[0] == wanted and all(later < earlier for earlier, later in pairwise(asked))
    assert min(asked) > 0
    if len(asked) <= len(answers):
        assert (completion.text, completion.finish_reason) == ("", FinishReason.LENGTH)
    else:
        assert completion == done
