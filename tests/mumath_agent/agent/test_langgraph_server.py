"""Check that `langgraph dev` serves the graph: described, streamed, stopped for approval, with no blocking call."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.toy import toy_served
from tests.waiting import HANG_S, comes_true

CHECKOUT = Path(__file__).resolve().parents[3]
QUESTION = (
    "A school orders 14 boxes of pencils with 12 pencils in each box. "
    "The teachers hand out 95 pencils. How many pencils are left?"
)

pytestmark = pytest.mark.kernel


class Server:
    """A running server, and what a client does with it."""

    def __init__(self, http: httpx.Client, process: psutil.Process, log: Path) -> None:
        self.http = http
        self.log = log
        self._process = process

    def processes(self) -> int:
        """Count the processes, kernels included."""
        return len(self._process.children(recursive=True))

    def thread(self) -> str:
        thread: str = self.http.post("/threads", json={}).raise_for_status().json()["thread_id"]
        return thread

    def run(self, thread: str, **run: Any) -> list[tuple[str, Any]]:
        """Start a run and return what it streams."""
        parts, name = [], ""
        body = {"assistant_id": "solve", **run}
        with self.http.stream("POST", f"/threads/{thread}/runs/stream", json=body) as response:
            for line in response.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    parts.append((name, json.loads(line.removeprefix("data: "))))
        assert "error" not in dict(parts), parts
        return parts

    def state(self, thread: str) -> dict[str, Any]:
        state: dict[str, Any] = self.http.get(f"/threads/{thread}/state").raise_for_status().json()
        return state


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("langgraph_cli")
    pytest.importorskip("langgraph_api")
    folder = tmp_path_factory.mktemp("server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser", "--no-reload"]
    arguments = ["--config", str(CHECKOUT / "langgraph.json"), "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUMATH_")}
    environment |= {"LANGSMITH_TRACING": "false", "LANGGRAPH_STRICT_MSGPACK": "true"}
    environment |= {"MUMATH_DIALECT": "fenced"}
    log = folder / "log"
    with (
        toy_served() as toy,
        log.open("w") as said,
        subprocess.Popen(
            [*command, *arguments],
            cwd=folder,
            stdout=said,
            stderr=said,
            env=environment | {"MUMATH_BASE_URL": toy},
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_S) as http,
    ):
        try:
            wait_until_it_answers(http, process, log)
            yield Server(http, psutil.Process(process.pid), log)
        finally:
            process.terminate()
    assert "BlockingError" not in log.read_text()


def wait_until_it_answers(http: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(httpx.TransportError):
            http.get("/ok").raise_for_status()
            return True
        return False

    assert comes_true(answers), log.read_text()


def test_it_draws_the_loop_and_describes_what_goes_in_and_comes_out(server: Server) -> None:
    (assistant,) = server.http.post("/assistants/search", json={}).raise_for_status().json()
    about = f"/assistants/{assistant['assistant_id']}"
    drawn = server.http.get(f"{about}/graph", params={"xray": True}).raise_for_status().json()
    assert {node["id"] for node in drawn["nodes"]} >= {"reason", "code", "execute", "observe"}
    schemas = server.http.get(f"{about}/schemas").raise_for_status().json()
    assert schemas["input_schema"]["required"] == ["question"]
    assert {"answer", "stop_reason", "transcript"} <= set(schemas["output_schema"]["properties"])
    assert "programs" not in schemas["output_schema"]["properties"]
    assert {"limits", "sampling", "approve"} <= set(schemas["context_schema"]["properties"])


def test_a_run_streams_tokens_programs_output_and_states_and_finishes(server: Server) -> None:
    modes = ["custom", "messages-tuple", "updates", "values"]
    parts = server.run(server.thread(), input={"question": QUESTION}, stream_mode=modes)
    events = [data for name, data in parts if name == "custom"]
    kinds = [event["event"] for event in events]
    turned = [kind for kind, before in zip(kinds, ["", *kinds], strict=False) if kind != before]
    assert turned == ["text", "program", "stdout", "output", "text"]
    written = "".join(event["text"] for event in events if event["event"] == "text")
    messages = [data[0] for name, data in parts if name == "messages"]
    assert "".join(message["content"] for message in messages) == written
    assert len({message["id"] for message in messages}) == 2  # one a turn
    nodes = [next(iter(data)) for name, data in parts if name == "updates"]
    assert nodes == ["reason", "code", "execute", "observe", "reason", "code"]
    last = [data for name, data in parts if name == "values"][-1]
    assert (last["answer"]["text"], last["stop_reason"]) == ("73", "answered")


def test_a_run_that_waits_for_approval_holds_no_kernel_and_goes_on_with_what_was_decided(
    server: Server,
) -> None:
    server.run(server.thread(), input={"question": QUESTION})  # from here on there is a fork server
    thread, processes = server.thread(), server.processes()
    context = {"approve": True, "limits": {"max_turns": 3}}
    server.run(thread, input={"question": QUESTION}, context=context)
    (task,) = server.state(thread)["tasks"]
    (asked,) = task["interrupts"]
    assert asked["value"]["args"]["code"].endswith("print(b)\n")
    assert comes_true(lambda: server.processes() == processes)
    edited = {"type": "edit", "edited_action": {"name": "python", "args": {"code": "print(72)"}}}
    server.run(thread, command={"resume": edited}, context=context)
    values = server.state(thread)["values"]
    assert [execution["edited"] for execution in values["executions"]] == ["print(72)"]
    assert (values["answer"]["text"], values["stop_reason"]) == ("72", "answered")
    assert comes_true(lambda: server.processes() == processes)


def test_a_cancelled_run_leaves_no_kernel(server: Server) -> None:
    server.run(server.thread(), input={"question": QUESTION})
    thread, processes = server.thread(), server.processes()
    context = {"approve": True, "limits": {"cell_timeout_s": 600}}
    server.run(thread, input={"question": QUESTION}, context=context)
    forever = {"type": "edit", "edited_action": {"name": "python", "args": {"code": "while True: pass"}}}
    body = {"assistant_id": "solve", "command": {"resume": forever}, "context": context}
    run = server.http.post(f"/threads/{thread}/runs", json=body).raise_for_status().json()["run_id"]
    assert comes_true(lambda: server.processes() > processes)
    server.http.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": True}).raise_for_status()
    assert comes_true(lambda: server.processes() == processes)


def test_a_thread_answers_one_question_after_another(server: Server) -> None:
    thread = server.thread()
    for question, answer in [(QUESTION, "73"), ("Tom has 5 apples and buys 7 more. How many?", "12")]:
        server.run(thread, input={"question": question})
        values = server.state(thread)["values"]
        assert (values["question"], values["answer"]["text"]) == (question, answer)
        assert len(values["completions"]) == 2 and len(values["executions"]) == 1


def test_a_context_that_means_nothing_is_refused(server: Server) -> None:
    body = {"assistant_id": "solve", "input": {"question": "q"}, "context": {"limits": {"max_turns": 0}}}
    response = server.http.post(f"/threads/{server.thread()}/runs/wait", json=body)
    assert "limit max_turns is 0; it must be positive" in response.json()["__error__"]["message"]


def test_an_input_without_a_question_is_refused_in_words(server: Server) -> None:
    body = {"assistant_id": "solve", "input": {"question": " "}}
    response = server.http.post(f"/threads/{server.thread()}/runs/wait", json=body)
    assert "the question is empty" in response.json()["__error__"]["message"]
