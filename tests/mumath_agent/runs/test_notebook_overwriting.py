"""`--notebook` replaces its own notebooks and nothing else, and says so before a model is asked."""

import json
import os
from pathlib import Path

import pytest

from mumath_agent.errors import InputError
from mumath_agent.records import Limits, Problem, RunRecord, Sampling, Settings, StopReason, Trajectory
from mumath_agent.runs.notebook import notebook_text, write_notebook
from mumath_agent.transcript import Transcript
from tests.programs import mumath_agent

NOBODY = "http://127.0.0.1:9"
"""Nothing listens there: whoever asks a model fails with exit code 3."""
OWN_WORK = json.dumps({"cells": [], "metadata": {"kernelspec": {}}, "nbformat": 4, "nbformat_minor": 5})


def record(question: str) -> RunRecord:
    return RunRecord(
        problem=Problem(id="a", question=question),
        settings=Settings(model="m", dialect="fenced", limits=Limits(), sampling=Sampling()),
        isolation="none",
        version="0",
        trajectory=Trajectory(
            transcript=Transcript(question=question),
            completions=(),
            executions=(),
            answer=None,
            stop_reason=StopReason.NO_ANSWER,
        ),
    )


def put(path: Path, what: str) -> None:
    match what:
        case "a folder":
            path.mkdir()
        case "a pipe":
            os.mkfifo(path)
        case "a link to a notebook of the user's":
            path.with_name("own").write_text(OWN_WORK)
            path.symlink_to("own")
        case "a file that can't be written":
            path.write_text(notebook_text(record("q")))
            path.chmod(0o400)
        case content:
            path.write_text(content)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("my notes", "wasn't written by mumath-agent and isn't overwritten"),
        ('["mumath_agent"]', "wasn't written by mumath-agent"),
        ('{"metadata": null}', "wasn't written by mumath-agent"),
        (OWN_WORK, "wasn't written by mumath-agent"),
        ("a link to a notebook of the user's", "wasn't written by mumath-agent"),
        ("a folder", "it isn't a file"),
        ("a pipe", "it isn't a file"),
        pytest.param(
            "a file that can't be written",
            "Permission denied",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file"),
        ),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_what_a_notebook_would_overwrite_is_left_alone_before_a_model_is_asked(
    tmp_path: Path, what: str, message: str, many: bool
) -> None:
    folder, problems = tmp_path / "notebooks", tmp_path / "p.jsonl"
    folder.mkdir()
    path = folder / "a.ipynb"
    put(path, what)
    problems.write_text('{"id": "b", "question": "q"}\n{"id": "a", "question": "q"}\n')
    before = path.read_bytes() if path.is_file() else path.lstat()
    asked = ["--file", str(problems), "--notebook", str(folder)] if many else ["q", "--notebook", str(path)]
    ended = mumath_agent("solve", *asked, "--base-url", NOBODY, "--dialect", "fenced")
    assert (ended.code, ended.stdout, len(ended.stderr.splitlines())) == (2, "", 1)
    assert str(path) in ended.stderr and message in ended.stderr
    with pytest.raises(InputError, match=message):
        write_notebook(record("q"), path)
    assert before == (path.read_bytes() if path.is_file() else path.lstat())
    assert sorted(tmp_path.iterdir()) == [folder, problems]


@pytest.mark.parametrize("link", [False, True])
def test_a_notebook_of_ours_and_an_empty_file_are_replaced(tmp_path: Path, link: bool) -> None:
    target = path = tmp_path / "a.ipynb"
    if link:
        path = tmp_path / "link.ipynb"
        path.symlink_to(target)
    target.touch(0o600)
    for question in ("Which first?", "Which then?"):
        write_notebook(record(question), path)
        assert target.read_text() == notebook_text(record(question))
    assert path.is_symlink() is link and target.stat().st_mode & 0o777 == 0o600
    assert not target.is_symlink() and len(list(tmp_path.iterdir())) == 1 + link
