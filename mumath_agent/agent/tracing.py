"""OpenTelemetry spans: one for an attempt, and in it one for each completion and each cell.

    invoke_agent mumath-agent
    ├── text_completion MuMath-Code-7B      (chat …, where the model is sent messages)
    ├── execute_tool python
    └── text_completion MuMath-Code-7B

Names are those of the GenAI semantic conventions (github.com/open-telemetry/semantic-conventions-genai); what they
have no name for begins with "mumath.". Spans go wherever the application sends its own. Where it has set up no
OpenTelemetry nothing is wrapped, and OpenTelemetry isn't imported here. Questions, texts and
programs are left out unless the conventions' environment variable asks for them. `attempt.py` puts the wrappers on; the
graph knows nothing of them. LangSmith needs no code of ours: LangGraph traces its nodes by itself.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mumath_agent import __version__
from mumath_agent.dialects.output import output_text
from mumath_agent.protocols import (
    CompletionModel,
    CompletionRequest,
    ExecutedCell,
    Executor,
    Message,
    OnText,
    Prompt,
    Role,
)
from mumath_agent.records import (
    BROKEN,
    Completion,
    Execution,
    ExecutionStatus,
    Problem,
    Sampling,
    Settings,
    Trajectory,
)

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable that, set to "span_only", "span_and_event" or "true", puts texts and programs into spans."""
_AGENT, _TOOL = "mumath-agent", "python"
_PROVIDER = "mumath_agent"
"""Who makes the calls: what answers at an OpenAI-compatible address can't be known."""
_CONTENT_CHARS = 100_000
_ENDED = Callable[[Trajectory], None]


@contextmanager
def attempt_span(problem: Problem, settings: Settings) -> Iterator[_ENDED]:
    """Open the span of an attempt; the function it yields is called with the trajectory at the end."""
    tracer = _tracer()
    if tracer is None:
        yield lambda _: None
        return
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": _AGENT,
        "gen_ai.agent.version": __version__,
        "mumath.problem.id": problem.id,
        "mumath.dialect": settings.dialect,
        **_request(settings.model, settings.sampling),
    }
    with _span(tracer, f"invoke_agent {_AGENT}", attributes) as span:
        if _captures_content():
            span.set_attribute("gen_ai.input.messages", _message("user", problem.question))
        yield lambda attempt: _tell_attempt(span, attempt)


def traced_model(model: CompletionModel) -> CompletionModel:
    """Return `model` with a span around each completion, if OpenTelemetry is set up."""
    tracer = _tracer()
    return _TracedModel(model, tracer) if tracer else model


def traced_kernel(kernel: Executor) -> Executor:
    """Return `kernel` with a span around each cell, if OpenTelemetry is set up."""
    tracer = _tracer()
    return _TracedKernel(kernel, tracer) if tracer else kernel


@dataclass(frozen=True, slots=True)
class _TracedModel:
    """A `CompletionModel` whose completions have spans."""

    model: CompletionModel
    tracer: "Tracer"

    @property
    def name(self) -> str:
        return self.model.name

    async def warm_up(self) -> None:
        await self.model.warm_up()

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        operation = "text_completion" if isinstance(request.prompt, str) else "chat"
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.stop_sequences": request.stop,
            **_request(self.model.name, request.sampling),
        }
        with _span(self.tracer, f"{operation} {self.model.name}", attributes, calls_out=True) as span:
            completion = await self.model.complete(request, on_text)
            _tell_completion(span, request.prompt, completion)
            return completion

    async def aclose(self) -> None:
        await self.model.aclose()


@dataclass(frozen=True, slots=True)
class _TracedKernel:
    """An `Executor` whose cells have spans."""

    kernel: Executor
    tracer: "Tracer"

    @property
    def isolation(self) -> str:
        return self.kernel.isolation

    async def run(
        self, code: str, *, timeout_s: float, on_output: Callable[[str, str], None] | None = None
    ) -> Execution:
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": _TOOL,
            "gen_ai.tool.type": "function",
        }
        with _span(self.tracer, f"execute_tool {_TOOL}", attributes) as span:
            execution = await self.kernel.run(code, timeout_s=timeout_s, on_output=on_output)
            _tell_execution(span, code, execution, self.kernel.isolation)
            return execution

    async def restore(self, history: Sequence[ExecutedCell]) -> bool:
        return await self.kernel.restore(history)

    async def __aenter__(self) -> Self:
        await self.kernel.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.kernel.__aexit__(exc_type, exc, traceback)


def _tracer() -> "Tracer | None":
    """Return a tracer, or None if the application hasn't set OpenTelemetry up, for which it must have imported it."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    return trace.get_tracer("mumath_agent", __version__)


@contextmanager
def _span(
    tracer: "Tracer", name: str, attributes: "Mapping[str, AttributeValue]", *, calls_out: bool = False
) -> Iterator["Span"]:
    """Open a span that ends with the block, also with a cancelled one, and records an exception."""
    from opentelemetry.trace import SpanKind

    kind = SpanKind.CLIENT if calls_out else SpanKind.INTERNAL
    with tracer.start_as_current_span(name, kind=kind, attributes=attributes) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            raise


def _request(model: str, sampling: Sampling) -> "dict[str, AttributeValue]":
    asked: dict[str, AttributeValue] = {
        "gen_ai.provider.name": _PROVIDER,
        "gen_ai.request.model": model,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
    }
    return asked if sampling.seed is None else asked | {"gen_ai.request.seed": sampling.seed}


def _tell_attempt(span: "Span", attempt: Trajectory) -> None:
    span.set_attribute("mumath.stop_reason", attempt.stop_reason.value)
    _tell_usage(span, attempt.completions)
    if _captures_content() and attempt.answer:
        span.set_attribute("gen_ai.output.messages", _message("assistant", attempt.answer.text))
    if attempt.stop_reason in BROKEN:
        _fail(span, attempt.stop_reason.value, attempt.error)


def _tell_completion(span: "Span", prompt: Prompt, completion: Completion) -> None:
    span.set_attribute("gen_ai.response.finish_reasons", (completion.finish_reason.value,))
    _tell_usage(span, [completion])
    if _captures_content():
        span.set_attribute("gen_ai.input.messages", _messages(prompt))
        answer = _message("assistant", completion.text, finish_reason=completion.finish_reason.value)
        span.set_attribute("gen_ai.output.messages", answer)


def _tell_usage(span: "Span", completions: Sequence[Completion]) -> None:
    if prompt_tokens := sum(completion.prompt_tokens for completion in completions):  # 0 is unknown
        span.set_attribute("gen_ai.usage.input_tokens", prompt_tokens)
    if completion_tokens := sum(completion.completion_tokens for completion in completions):
        span.set_attribute("gen_ai.usage.output_tokens", completion_tokens)


def _tell_execution(span: "Span", code: str, execution: Execution, isolation: str) -> None:
    """Record an execution; a program that fails makes the span an error, for that is what readers of spans look for."""
    span.set_attribute("mumath.execution.status", execution.status.value)
    span.set_attribute("mumath.execution.state_lost", execution.state_lost)
    span.set_attribute("mumath.isolation", isolation)
    if _captures_content():
        span.set_attribute("gen_ai.tool.call.arguments", json.dumps({"code": code}))
        span.set_attribute("gen_ai.tool.call.result", output_text(execution, max_chars=_CONTENT_CHARS))
    if execution.status is not ExecutionStatus.OK:
        _fail(span, execution.status.value, execution.error if _captures_content() else None)


def _fail(span: "Span", error_type: str, description: str | None) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, description))


def _captures_content() -> bool:
    return os.environ.get(CAPTURE_CONTENT, "").lower() in ("true", "span_only", "span_and_event")


def _messages(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return _message("user", prompt)
    return json.dumps([{"role": m.role.value, "parts": list(_parts(m))} for m in prompt.messages])


def _parts(message: Message) -> Iterator[dict[str, object]]:
    if message.role is Role.TOOL:
        yield {"type": "tool_call_response", "response": message.text}
    else:
        yield {"type": "text", "content": message.text}
    if message.code is not None:
        yield {"type": "tool_call", "name": _TOOL, "arguments": {"code": message.code}}


def _message(role: str, text: str, **more: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}], **more}])
