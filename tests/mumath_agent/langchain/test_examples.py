"""The examples as a reader runs them: without a model they play a recorded conversation."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import toy_served

pytestmark = pytest.mark.kernel

EXAMPLES = Path(__file__).parents[3] / "examples"


def started(example: str, *arguments: str, at: Path, stderr: int | None = None) -> subprocess.Popen[str]:
    """Start the example in a process; its errors go where pytest shows them."""
    environment = {name: value for name, value in os.environ.items() if name != "MODEL"}
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / example), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        cwd=at,
        env=environment | {"LANGGRAPH_STRICT_MSGPACK": "true", "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.slow
def test_an_agent_that_is_killed_goes_on_in_another_process(tmp_path: Path) -> None:
    """A wrong program, an approval for each, and a restart after which the session is as it was."""
    asked = "Run it? Enter, or say why not: "
    with started("langchain_agent.py", "What?", at=tmp_path) as first:
        assert first.stdin is not None and first.stdout is not None
        first.stdin.write("\n\n")
        first.stdin.flush()
        said = ""
        while said.count(asked) < 3 and (character := first.stdout.read(1)):
            said += character
        first.kill()
    assert "-> line 1: digits = [int(d) for d in 2**100]\nTypeError: 'int' object is not iterable" in said
    assert "-> 31\n" in said and said.endswith(f"print(sum(digits))\n{asked}")
    with started("langchain_agent.py", at=tmp_path) as second:
        said, _ = second.communicate("\n")
    assert second.returncode == 0
    assert said == f"print(sum(digits))\n{asked}-> 115\nThe digits of 2^100 add up to 115.\n"


def test_an_agent_that_is_asked_nothing_says_how_to_ask_and_leaves_nothing(tmp_path: Path) -> None:
    with started("langchain_agent.py", at=tmp_path, stderr=subprocess.PIPE) as example:
        _, said = example.communicate()
    assert example.returncode == 2
    assert said.startswith("usage: langchain_agent.py") and "error: give a question" in said
    assert not list(tmp_path.iterdir())


def test_the_tool_in_three_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUMATH_DIALECT", "fenced")
    with toy_served() as url:
        monkeypatch.setenv("MUMATH_BASE_URL", url)
        with started("langchain_tool.py", at=tmp_path) as example:
            said, _ = example.communicate()
    assert re.search(r"Tool Message.*Name: solve_math\n\nAnswer: 7\n.*Tom has 7 apples\.", said, re.DOTALL)


def test_every_example_for_langchain_is_run_here() -> None:
    tests = Path(__file__).read_text("utf-8")
    ours = {path.name for path in EXAMPLES.glob("langchain_*.py")}
    assert ours and all(f'"{name}"' in tests for name in ours)
