"""Check what a trace of an attempt holds, what it never holds, and that nothing is traced without a listener."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from benchmarks.replay.server import serving
from mumath_agent.agent.solver import Solver
from mumath_agent.agent.tracing import CAPTURE_CONTENT, traced_kernel, traced_model
from mumath_agent.errors import ModelRefused
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import (
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Limits,
    Problem,
    RunRecord,
    Sampling,
    StopReason,
)
from mumath_agent.testing import ScriptedExecutor, ScriptedModel

pytestmark = pytest.mark.anyio

ATTEMPT, CELL = "invoke_agent mumath-agent", "execute_tool python"
PROBLEM = Problem(id="p1", question="A question nobody else may read?")
PROGRAM = "See.\n```python\nprint(secret_name)\n```\n"
ANSWER = "So \\boxed{42}."


@pytest.fixture(scope="module")
def all_spans() -> InMemorySpanExporter:
    """OpenTelemetry takes one provider a process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(
    all_spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[ReadableSpan]]:
    """Return a function that lists the spans that have ended, in the order in which they began."""
    monkeypatch.delenv(CAPTURE_CONTENT, raising=False)
    all_spans.clear()
    return lambda: sorted(all_spans.get_finished_spans(), key=lambda span: span.start_time or 0)


def completion(text: str) -> Completion:
    return Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=7, completion_tokens=5)


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def identity(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


async def solved(*executions: Execution | str, name: str = "m", problem: Problem = PROBLEM) -> RunRecord:
    texts = [*(completion(PROGRAM) for _ in executions), completion(ANSWER)]
    model = ScriptedModel(texts=texts, name=name)
    solver = Solver(model=model, sampling=Sampling(temperature=0.5, seed=3), limits=Limits(max_turns=9))
    return await solver.solve(problem, kernel=ScriptedExecutor(executions=executions))


async def test_an_attempt_is_a_tree_of_completions_and_cells(spans: Callable[[], list[ReadableSpan]]) -> None:
    await solved("1\n", "2\n")
    attempt, *children = spans()
    assert [span.name for span in (attempt, *children)] == [
        ATTEMPT,
        "text_completion m",
        CELL,
        "text_completion m",
        CELL,
        "text_completion m",
    ]
    assert attempt.parent is None
    assert {span.parent.span_id for span in children if span.parent} == {identity(attempt)}
    assert all(span.parent for span in children)
    assert {span.status.status_code for span in (attempt, *children)} == {StatusCode.UNSET}


async def test_attributes_have_the_names_of_the_conventions(spans: Callable[[], list[ReadableSpan]]) -> None:
    await solved("1\n")
    attempt, asked, cell, _ = spans()
    request = {
        "gen_ai.provider.name": "mumath_agent",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.seed": 3,
    }
    assert attributes(asked) == request | {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.stop_sequences": ("```output",),
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
    }
    assert asked.kind is SpanKind.CLIENT and cell.kind is SpanKind.INTERNAL
    assert attributes(cell) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "python",
        "gen_ai.tool.type": "function",
        "mumath.execution.status": "ok",
        "mumath.execution.state_lost": False,
        "mumath.isolation": "scripted",
    }
    assert (
        attributes(attempt).items()
        >= (
            request
            | {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "mumath-agent",
                "gen_ai.usage.input_tokens": 14,
                "gen_ai.usage.output_tokens": 10,
                "mumath.problem.id": "p1",
                "mumath.stop_reason": "answered",
            }
        ).items()
    )


async def test_texts_and_programs_are_left_out_unless_they_are_asked_for(
    spans: Callable[[], list[ReadableSpan]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Execution(status=ExecutionStatus.ERROR, error="NameError: name 'secret_name' is not defined")
    await solved(failed)
    told = "".join(span.to_json() for span in spans())
    assert "secret_name" not in told and "nobody else" not in told and "boxed" not in told
    monkeypatch.setenv(CAPTURE_CONTENT, "SPAN_ONLY")
    await solved(failed)
    attempt, asked, cell, _ = spans()[-4:]
    assert json.loads(str(attributes(attempt)["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": PROBLEM.question}]}
    ]
    assert json.loads(str(attributes(attempt)["gen_ai.output.messages"]))[0]["parts"][0]["content"] == "42"
    assert "nobody else" in str(attributes(asked)["gen_ai.input.messages"])
    assert json.loads(str(attributes(asked)["gen_ai.output.messages"]))[0]["finish_reason"] == "stop"
    assert json.loads(str(attributes(cell)["gen_ai.tool.call.arguments"])) == {"code": "print(secret_name)\n"}
    assert "NameError" in str(attributes(cell)["gen_ai.tool.call.result"])


@pytest.mark.parametrize(
    "status", [status for status in ExecutionStatus if status is not ExecutionStatus.OK], ids=str
)
async def test_a_program_that_failed_is_an_error_of_its_cell_only(
    status: ExecutionStatus, spans: Callable[[], list[ReadableSpan]]
) -> None:
    await solved(Execution(status=status, state_lost=True))
    attempt, _, cell, _ = spans()
    assert cell.status.status_code is StatusCode.ERROR
    assert attributes(cell)["error.type"] == status.value
    assert attributes(cell)["mumath.execution.state_lost"] is True
    assert attempt.status.status_code is StatusCode.UNSET


async def test_broken_machinery_is_an_error_of_the_attempt_and_of_what_broke(
    spans: Callable[[], list[ReadableSpan]],
) -> None:
    model = ScriptedModel(texts=[ModelRefused("the prompt is too long")], name="m")
    record = await Solver(model=model).solve(PROBLEM, kernel=ScriptedExecutor(executions=[]))
    assert record.trajectory.stop_reason is StopReason.MODEL_ERROR
    attempt, asked = spans()
    assert asked.status.status_code is attempt.status.status_code is StatusCode.ERROR
    assert attributes(asked)["error.type"] == "ModelRefused"
    assert attributes(attempt)["error.type"] == "model_error"
    assert attempt.status.description == "the prompt is too long"
    assert [event.name for event in asked.events] == ["exception"]


async def test_attempts_side_by_side_have_a_trace_each(spans: Callable[[], list[ReadableSpan]]) -> None:
    async with anyio.create_task_group() as tasks:
        for name in "abc":
            problem = Problem(id=name, question="?")
            tasks.start_soon(partial(solved, "1", "2", name=name, problem=problem))
    attempts = {identity(s): attributes(s)["mumath.problem.id"] for s in spans() if s.parent is None}
    assert sorted(map(str, attempts.values())) == ["a", "b", "c"]
    asked = [span for span in spans() if span.name.startswith("text_completion")]
    assert len(asked) == 9
    for span in asked:
        assert span.parent is not None and span.name == f"text_completion {attempts[span.parent.span_id]}"


class Silent:
    """A model that never answers."""

    name = "silent"

    def __init__(self) -> None:
        self.asked = anyio.Event()

    async def warm_up(self) -> None:
        return None

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        self.asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        return None


async def test_spans_of_a_cancelled_attempt_end(spans: Callable[[], list[ReadableSpan]]) -> None:
    model = Silent()
    solver = Solver(model=model)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: solver.solve(PROBLEM, kernel=ScriptedExecutor(executions=[])))
        await model.asked.wait()
        tasks.cancel_scope.cancel()
    attempt, asked = spans()
    assert (attempt.name, asked.name) == (ATTEMPT, "text_completion silent")
    assert all(span.end_time and span.status.status_code is StatusCode.UNSET for span in (attempt, asked))


async def test_spans_lie_under_those_of_the_application(spans: Callable[[], list[ReadableSpan]]) -> None:
    with trace.get_tracer("application").start_as_current_span("request"):
        await solved()
    request, attempt, _ = spans()
    assert attempt.parent and attempt.parent.span_id == identity(request)


async def test_where_opentelemetry_is_not_imported_nothing_is_wrapped(
    monkeypatch: pytest.MonkeyPatch, spans: Callable[[], list[ReadableSpan]]
) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    model, kernel = ScriptedModel(texts=[]), ScriptedExecutor(executions=[])
    assert traced_model(model) is model and traced_kernel(kernel) is kernel
    await solved("1")
    assert spans() == []


@pytest.mark.kernel
@pytest.mark.parametrize(
    "before",
    [
        "sys.modules['opentelemetry'] = None",  # as if it were not installed
        "import mumath_agent.agent.tracing; assert 'opentelemetry' not in sys.modules; import opentelemetry.trace",
    ],
    ids=["not installed", "not set up"],
)
@pytest.mark.kernel
def test_without_a_listener_nothing_is_wrapped(before: str) -> None:
    program = f"""
import sys
{before}
from mumath_agent import solve
from mumath_agent.testing import ScriptedModel
from mumath_agent.agent.tracing import traced_model
model = ScriptedModel(texts=["So \\\\boxed{{42}}."])
print(solve("?", model=model).trajectory.answer.text, traced_model(model) is model)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "42 True\n", done.stderr


INFO = {
    "instance_flags": {},
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 2,
        "scale_down_nempty_trigger": 2,
        "size_limit": 100,
        "size_limit_bytes": 1 << 20,
    },
}


@contextmanager
def langsmith() -> Iterator[tuple[str, list[bytes]]]:
    """Start a server that takes traces; yield its address and everything that it was sent."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(b"{}")

        def do_GET(self) -> None:
            self._answer(json.dumps(INFO).encode())

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.kernel
def test_langsmith_is_told_of_the_nodes_and_of_no_key() -> None:
    model = ScriptedModel(texts=["See.\n```python\nprint(6 * 7)\n```\n", ANSWER])
    with langsmith() as (endpoint, received), serving(model) as url:
        done = solve_traced(endpoint, "--base-url", url)
    assert done.returncode == 0, done.stderr
    sent = b"".join(received)
    for told in (b"How many?", b'"name":"reason"', b'"name":"execute"', b"print(6 * 7)"):
        assert told in sent
    assert b"sk-secret" not in sent


@pytest.mark.slow
def test_a_langsmith_that_is_not_there_spoils_nothing() -> None:
    model = ScriptedModel(texts=[ANSWER])
    with serving(model) as url:
        done = solve_traced("http://127.0.0.1:9", "--base-url", url)
    assert done.returncode == 0 and done.stdout.endswith("Answer: 42\n")


def solve_traced(endpoint: str, *options: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_API_KEY": "ls-key",
        "LANGSMITH_ENDPOINT": endpoint,
        "LANGSMITH_DISABLE_RUN_COMPRESSION": "true",
        "MUMATH_API_KEY": "sk-secret",
    }
    return subprocess.run(
        [sys.executable, "-m", "mumath_agent", "solve", "How many?", "--dialect", "fenced", *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
