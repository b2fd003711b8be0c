"""What is published: the wheel alone must be the whole library."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from mumath_agent import __version__

ROOT = Path(__file__).parents[1]
QUESTION = (
    "A school orders 14 boxes of pencils with 12 pencils in each box. The teachers hand out 95 pencils. "
    "How many pencils are left?"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    return built("wheel", folder)


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"mumath_agent"}
    inside = [path for path in (ROOT / "mumath_agent").rglob("*") if path.is_file()]
    ours = {path.relative_to(ROOT).as_posix() for path in inside if "__pycache__" not in path.parts}
    assert ours <= set(names)
    assert "mumath_agent/py.typed" in names
    assert any(name.endswith("share/jupyter/kernels/mumath/kernel.json") for name in names)
    assert wheel.stat().st_size <= 20 * 2**20


@pytest.mark.kernel
def test_the_unpacked_wheel_solves_where_the_checkout_is_not(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = "import mumath_agent as m; print(m.__file__); print(m.solve('What is 17 times 23?').answer)"
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    where, answer = done.stdout.split()
    assert Path(where).is_relative_to(tmp_path) and answer == "391"


@pytest.mark.slow
@pytest.mark.kernel
def test_the_wheel_in_a_new_environment_solves_the_question_of_the_readme(
    wheel: Path, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    subprocess.run([str(tmp_path / "env" / "bin" / "pip"), "install", "-q", str(wheel)], check=True)
    done = subprocess.run(
        [str(tmp_path / "env" / "bin" / "mumath-agent"), "solve", QUESTION],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.endswith("Answer: 73\n"), done.stderr


def test_the_source_distribution_can_be_tested(tmp_path: Path) -> None:
    with tarfile.open(built("sdist", tmp_path)) as archive:
        names = archive.getnames()
    for part in (
        "mumath_agent/py.typed",
        "finetune/cli.py",
        "benchmarks/cli.py",
        "tests/conftest.py",
        "docs",
    ):
        assert any(name.partition("/")[2].startswith(part) for name in names), part


def test_the_citation_names_the_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def built(kind: str, folder: Path) -> Path:
    program = f"import sys; from hatchling.build import build_{kind} as build; print(build(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return folder / done.stdout.split()[-1]
