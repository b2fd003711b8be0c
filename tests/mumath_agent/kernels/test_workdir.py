"""Check the work directories of kernels on the disk, however a program fills them."""

import os
from pathlib import Path

import pytest
from outside import files, run

from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.kernels.workdir import exceeds, remove
from mumath_agent.records import ExecutionStatus

FILLS = {
    "large": "with open('f', 'wb') as file: file.write(bytes(2 << 20))",
    "many": "for n in range(3000): open(f'f{n}', 'w').close()",
    "deep": "for _ in range(3000): os.mkdir('d'); os.chdir('d')",
    "deep and closed": "for _ in range(1500): os.mkdir('d'); os.chdir('d')\nos.mkdir('closed', 0)",
    "links": "for n in range(3000): os.symlink('/', f'l{n}')",
}


_BY_DAY = ("large", "many", "deep and closed")


@pytest.mark.parametrize(
    "fill",
    [
        pytest.param(fill, id=name, marks=[] if name in _BY_DAY else pytest.mark.slow)
        for name, fill in FILLS.items()
    ],
)
def test_a_full_directory_is_found_and_removed(
    fill: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    exec(fill, {"os": os})  # noqa: S102 - a program of this table
    os.chdir(tmp_path)
    assert exceeds(work, 1 << 20)
    remove(work)
    assert files(tmp_path) == []


def test_a_small_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("x")
    assert not exceeds(tmp_path, 1 << 20)


@pytest.mark.slow
@pytest.mark.kernel
@pytest.mark.anyio
async def test_a_program_that_fills_its_directory_deeply_costs_its_session_only() -> None:
    layers = frozenset({"landlock", "seccomp", "rlimits"})
    code = "import os, time\nfor _ in range(5000): os.mkdir('d'); os.chdir('d')\ntime.sleep(600)"
    async with JupyterExecutor(Sandbox(layers=layers)) as executor:
        execution = await run(executor, code)
        assert (execution.status, execution.state_lost) == (ExecutionStatus.DIED, True)
        assert "it wrote more than 64 MB" in str(execution.error)
        assert (await run(executor, "print(6 * 7)")).stdout == "42\n"
