"""The examples that need nothing but the library; those for LangChain are run in `mumath_agent/langchain`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import toy_served

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.kernel
def test_many_questions_are_answered_by_a_server() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MUMATH_")}
    command = [sys.executable, str(EXAMPLES / "solve_many.py"), "What is 17 times 23?", "What is 3 + 4?"]
    with toy_served() as url:
        env |= {"MUMATH_BASE_URL": url, "MUMATH_DIALECT": "fenced"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()) == ["1. Answer: 391", "2. Answer: 7"]
