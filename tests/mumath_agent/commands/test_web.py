"""The command `web` as a person starts it: a question, and the ends."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.programs import PROGRAM
from tests.test_packaging import QUESTION
from tests.toy import WITH_TOY
from tests.waiting import HANG_S


@contextmanager
def started(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    env = {**os.environ, "XDG_DATA_HOME": str(folder)}
    command = [*PROGRAM, "web", "--port", "0", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.kernel
def test_the_command_answers_the_question_of_the_readme_and_ends_when_told(tmp_path: Path) -> None:
    with started(tmp_path, *WITH_TOY) as (process, url), httpx.Client(base_url=url, timeout=HANG_S) as client:
        asked = {"question": QUESTION, "model": "given", "attempts": 1}
        name = client.post("/api/ask", json=asked).json()["conversation"]
        events = client.get(f"/api/c/{name}/events").text
        last = [line for line in events.split("\n") if line.startswith("data: [")][-1]
        (view,) = json.loads(last.removeprefix("data: "))
        assert view["result"]["answer"] == "73" and view["attempts"][0]["turns"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_S) == 0
        assert process.stderr and process.stderr.read() == "ended\n"
    assert (tmp_path / "mumath-agent" / "history.sqlite").is_file()
