"""The measurements run and say something; how fast anything is depends on the machine and is not judged here."""

import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from benchmarks.perf import command as perf
from benchmarks.perf.programs import only_computes
from benchmarks.perf.table import Measurement, print_table, row_to_json
from mumath_agent.errors import InputError

CHECKOUT = Path(__file__).resolve().parents[3]
PROGRAM = "```python\nprint({n} + 1)\n```\n```output\n2\n```\n"


def recorded(path: Path, number: int) -> Path:
    rows = ({"idx": n, "question": "?", "gt": "2", "code": [PROGRAM.format(n=n)]} for n in range(number))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def measured(data: Path) -> Any:
    options = ["--quick", "--data", str(data), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "perf", "kernels", *options],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.kernel
def test_every_row_is_measured(tmp_path: Path) -> None:
    report = measured(recorded(tmp_path / "a.jsonl", 4))
    rows = report["rows"]
    assert len(rows) == 10
    for row in rows:
        alone = row["what"].startswith(("lease", "branch"))
        numbers = [row["ours"]] if alone else [row["ours"], row["reference"]]
        assert all(isinstance(n, float) and math.isfinite(n) and n > 0 for n in numbers), row
        assert row["skipped"] == ""
    assert {"cores", "load_before", "python", "packages", "isolation"} <= set(report["machine"])


def test_a_ratio_says_how_many_times_better_ours_is() -> None:
    faster = Measurement(what="start", unit="ms", ours=10.0, reference=150.0, at_least=15)
    assert (faster.ratio, faster.target, faster.met) == (15.0, "15x", True)
    more = Measurement(what="cells", unit="/s", ours=39.0, reference=1.0, at_least=25, limit=40)
    assert (more.ratio, more.target, more.met) == (39.0, "25x and ≥ 40 /s", False)
    alone = Measurement(what="lease", unit="ms", ours=10.0, limit=10)
    assert (alone.ratio, alone.target, alone.met) == (None, "≤ 10 ms", True)
    assert Measurement(what="size", unit="MB", ours=3.0).met is None
    assert not Measurement(what="slow", unit="ms", ours=11.0, reference=200.0, at_least=15, limit=10).met


def test_what_is_skipped_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    row = Measurement(what="programs", unit="/s", limit=40, skipped="skipped: no file")
    about = {
        "cores": 1,
        "load_before": [0.0],
        "system": "",
        "isolation": "full",
        "seconds": 1.0,
        "python": "",
    }
    print_table(about | {"packages": {}}, [row], Console(width=100))
    assert "skipped: no file" in capsys.readouterr().out
    assert (row_to_json(row)["met"], row_to_json(row)["ratio"]) == (None, None)


def test_programs_that_are_not_there_are_a_skipped_row(tmp_path: Path) -> None:
    pytest.importorskip("jupyter_client")
    from benchmarks.perf.kernels import problems

    bench = SimpleNamespace(data=tmp_path / "absent.jsonl", concurrency=2)
    rows = problems(bench)  # type: ignore[arg-type]
    assert [row.ours for row in rows] == [None, None]
    assert all("absent.jsonl" in row.skipped for row in rows)


@pytest.mark.parametrize(
    "code", ["import os", "!ls", "open('a')", "import sympy, sys", "from os import path", "f = eval"]
)
def test_a_program_that_may_leave_python_is_not_given_to_a_stock_kernel(code: str) -> None:
    assert not only_computes(code)
    assert only_computes("from sympy.solvers import solve\nimport math, numpy as np\nprint(math.pi)")


@pytest.mark.kernel
def test_without_stock_kernels_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(perf, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        perf.kernels(data=tmp_path)
    assert "jupyter_client" in str(caught.value) and "\n" not in str(caught.value)
