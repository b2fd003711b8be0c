"""Completion of `mumath-agent` in a shell, installed and asked for as a person would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

SCRIPTS = Path(sys.executable).parent


def shell(script: str, home: Path, *flags: str) -> str:
    env = os.environ | {"HOME": str(home), "PATH": f"{SCRIPTS}:{os.environ['PATH']}", "SHELL": "/bin/bash"}
    command = ["bash", "--norc", *flags, "-c", script]
    return subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home where completion was installed from bash."""
    home = tmp_path_factory.mktemp("home")
    assert "bash completion installed" in shell("mumath-agent --install-completion; true", home)
    return home


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("mumath-agent so", ["solve"]),
        ("mumath-agent solve --conc", ["--concurrency"]),
        pytest.param(
            "mumath-agent re", ["replay"], marks=pytest.mark.slow
        ),  # the same for others, a start each
        pytest.param("mumath-agent doctor --ba", ["--base-url"], marks=pytest.mark.slow),
    ],
)
def test_bash_completes_commands_and_options(home: Path, typed: str, offered: list[str]) -> None:
    script = (
        f'source ~/.bashrc; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE="{typed}"; '
        'function_name=$(complete -p mumath-agent | sed "s/.*-F \\([^ ]*\\) .*/\\1/"); '
        '$function_name mumath-agent; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert shell(script, home).splitlines() == offered


def test_the_script_can_be_shown_instead(home: Path) -> None:
    assert "complete -o" in shell("mumath-agent --show-completion; true", home)
