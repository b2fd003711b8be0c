"""What is published: the wheel alone must be the whole library."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder

from mumath_agent import __version__

ROOT = Path(__file__).parents[1]
QUESTION = "A baker makes 14 trays of 12 rolls each and sells 95 of them. How many rolls are left?"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    program = "import sys; from hatchling.build import build_wheel as build; print(build(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return folder / done.stdout.split()[-1]


@pytest.mark.shipped
def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"mumath_agent"}
    assert files("mumath_agent") <= set(names)
    assert "mumath_agent/py.typed" in names
    assert any(name.endswith("share/jupyter/kernels/mumath/kernel.json") for name in names)
    assert wheel.stat().st_size <= 95e6


@pytest.mark.shipped
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
@pytest.mark.shipped
@pytest.mark.network
@pytest.mark.kernel
@pytest.mark.timeout(3600)  # a hundred megabytes of wheels are fetched and compiled
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_wheel_in_a_new_environment_solves_the_question_of_the_readme_offline(
    version: str, wheel: Path, tmp_path: Path
) -> None:
    subprocess.run([interpreter(version), "-m", "venv", tmp_path / "env"], check=True)
    subprocess.run([tmp_path / "env" / "bin" / "pip", "install", "-q", wheel], check=True)
    offline = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*offline, "true"], capture_output=True).returncode:
        pytest.skip("the network can't be taken away here: unshare --net isn't allowed")
    done = subprocess.run(
        [*offline, tmp_path / "env" / "bin" / "mumath-agent", "solve", QUESTION],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.endswith("Answer: 73\n"), done.stderr


def interpreter(version: str) -> str:
    """Return a Python of that version, of this machine or of pyenv."""
    of_pyenv = Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")
    for found in (sys.executable, shutil.which(f"python{version}"), *of_pyenv):
        asked = [found or "false", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        if subprocess.run(asked, capture_output=True, text=True).stdout.strip() == version:
            return str(found)
    pytest.skip(f"there is no Python {version}")


def test_the_source_distribution_can_be_tested() -> None:
    """What would be packed is asked for: packing the weights takes five seconds of computing."""
    names = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    assert {"docs/README.md", "llms.txt", "pyproject.toml"} <= names
    for folder in ("mumath_agent", "finetune", "benchmarks", "tests", "examples"):
        assert files(folder) <= names


def files(folder: str) -> set[str]:
    """Return the paths of a folder's files, less what Python leaves there."""
    inside = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {path.relative_to(ROOT).as_posix() for path in inside if "__pycache__" not in path.parts}


def test_the_citation_names_the_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
