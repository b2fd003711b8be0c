"""`perf attempts` measures: every row has a number, and nothing is left of the attempts."""

import json
from pathlib import Path

import pytest

from benchmarks.perf.attempts import FILE, measure


@pytest.mark.kernel
@pytest.mark.worker
def test_every_row_has_a_number(tmp_path: Path) -> None:
    rows = [
        {
            "idx": n,
            "question": f"What is 3 times {n}?",
            "gt": str(3 * n),
            "code": [f"```python\nprint(3 * {n})\n```\n```output\n{3 * n}\n```\nSo \\boxed{{{3 * n}}}."],
            "pred": [str(3 * n)],
        }
        for n in range(3)
    ]
    (tmp_path / FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    makespan, cpu, memory, left, overrun = measure(quick=True, folder=tmp_path)
    assert makespan.ours and makespan.reference and cpu.ours and overrun.ours
    assert memory.ours is not None and left.ours == 0


def test_without_recorded_solutions_rows_say_so(tmp_path: Path) -> None:
    assert all(FILE in row.skipped for row in measure(quick=True, folder=tmp_path))
