"""Read what a client of the OpenAI API sends, and refuse what the agent can't do, in that API's own form."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.responses import JSONResponse, Response

from mumath_agent.dialects.reasoning import without_reasoning
from mumath_agent.errors import InputError
from mumath_agent.front.service import MOST_ATTEMPTS, Earlier
from mumath_agent.problems import check_question
from mumath_agent.records import Sampling

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
_MOST_MESSAGES = _MOST_PARTS = 2000
_SHOWN_CHARS = 80

Text = Annotated[str, StringConstraints(max_length=1 << 20)]


class BadRequest(InputError):
    """The request can't be answered as it is."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        """Say what is wrong, with which field, and as which status."""
        super().__init__(message)
        self.param, self.code, self.status = param, code, status


class Part(BaseModel):
    """A part of a message."""

    type: str
    text: Text | None = None


class ChatMessage(BaseModel):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | Annotated[list[Part], Field(max_length=_MOST_PARTS, fail_fast=True)] | None = None

    @cached_property
    def text(self) -> str:
        """All of its text; of the assistant's, without thoughts that a client sends back."""
        parts = self.content if isinstance(self.content, list) else [Part(type="text", text=self.content)]
        text = "\n".join(part.text or "" for part in parts)
        return without_reasoning(text)[1] if self.role == "assistant" else text


class StreamOptions(BaseModel):
    """How an answer is streamed."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A request for a chat completion, as far as the agent has a use for it; what isn't named here is ignored."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=_MOST_MESSAGES, fail_fast=True)]
    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = None
    attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = None
    """Not of OpenAI's: attempts of which the votes choose the answer."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=64)] | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None

    @property
    def said(self) -> list[ChatMessage]:
        """The messages of the user and the assistant."""
        return [message for message in self.messages if message.role in ("user", "assistant")]

    @property
    def question(self) -> str:
        """What the user has said since the last answer."""
        return self._turns()[1]

    @property
    def earlier(self) -> list[Earlier]:
        """The turns before the question."""
        return self._turns()[0]

    @property
    def instructions(self) -> str:
        """What the system, or the developer, says."""
        said = [message.text for message in self.messages if message.role in ("system", "developer")]
        return "\n\n".join(text for text in said if text.strip())

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings before which the answer ends."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or ()
        return tuple(string for string in given if string)

    @property
    def most_tokens(self) -> int | None:
        """Tokens that one completion may have."""
        return self.max_completion_tokens or self.max_tokens

    def _turns(self) -> tuple[list[Earlier], str]:
        turns: list[Earlier] = []
        asked: list[str] = []
        for message in self.said:
            if message.role == "user":
                asked.append(message.text)
            else:
                turns.append(Earlier(question="\n\n".join(asked), answer=message.text))
                asked = []
        return turns, "\n\n".join(asked)

    def sampling(self, default: Sampling) -> Sampling:
        """Return how tokens are picked, as far as the client says it."""
        temperature = default.temperature if self.temperature is None else self.temperature
        seed = default.seed if self.seed is None else self.seed % 2**31
        top_p = default.top_p if self.top_p is None else self.top_p
        return Sampling(temperature=temperature, top_p=top_p, seed=seed if temperature else None)


def read_request(body: bytes, model: str) -> ChatRequest:
    """Read the body of a request for `model`.

    Raises:
        BadRequest: it isn't one, or asks for something that the agent can't do.
    """
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "json_invalid":
            raise BadRequest(f"the body isn't JSON: {first['msg']}") from None
        raise BadRequest(f"{where or 'the body'}: {first['msg']}", param=where or None) from None
    _refuse(request, model)
    return request


def _refuse(request: ChatRequest, model: str) -> None:
    if request.model is not None and request.model != model:
        shown = request.model[:_SHOWN_CHARS]
        raise BadRequest(
            f"there is no model {shown!r} here; it is called {model!r}",
            param="model",
            code="model_not_found",
            status=404,
        )
    for param in ("tools", "functions"):
        if getattr(request, param) and request.tool_choice != "none":
            raise BadRequest(f"the agent calls no tools but its own Python; leave {param} out", param=param)
    if request.logprobs:
        raise BadRequest("there are no logprobs of an answer that an agent gives", param="logprobs")
    if request.response_format and request.response_format.get("type") != "text":
        raise BadRequest("the agent answers with text; leave response_format out", param="response_format")
    if (request.n or 1) > 1 and (request.attempts or 1) > 1:
        raise BadRequest(
            "n gives several choices and attempts one that they voted for; choose one", param="attempts"
        )
    _refuse_messages(request)
    try:
        check_question(request.question)
    except InputError as error:
        raise BadRequest(str(error), param="messages") from None


def _refuse_messages(request: ChatRequest) -> None:
    for number, message in enumerate(request.messages):
        where = f"messages.{number}"
        if message.role in ("tool", "function"):
            raise BadRequest("the agent calls no tools but its own Python", param=f"{where}.role")
        if isinstance(message.content, list) and (
            other := [p.type for p in message.content if p.type != "text"]
        ):
            raise BadRequest(
                f"the agent reads text, not {other[0][:_SHOWN_CHARS]!r}", param=f"{where}.content"
            )
    if request.messages[-1].role != "user":
        raise BadRequest(
            "the last message must be the user's", param=f"messages.{len(request.messages) - 1}.role"
        )


def error_body(
    status: int, message: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return an error in OpenAI's form."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code or _CODES.get(status)}}


def refusal(status: int, message: str, headers: Mapping[str, str]) -> Response:
    """Return the response for an error that has no more to it than this."""
    return JSONResponse(error_body(status, message), status, dict(headers))
