"""The pages hang together: all are listed, all links lead somewhere, and the reference builds from the docstrings."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "llms.txt", *sorted((ROOT / "docs").glob("*.md"))]
BESIDE = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
WEIGHTS = ROOT / "mumath_agent" / "weights" / "embedded" / "README.md"
_EXTRAS = re.compile(r"pip install [^`\n]*'\.\[([\w,]+)\]'")
_FENCED = re.compile(r"^(```+).*?^\1", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", [*PAGES, *BESIDE], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize(
    "page", [*PAGES, *BESIDE, WEIGHTS], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_every_row_of_a_table_has_a_header(page: Path) -> None:
    blocks = _FENCED.sub("", page.read_text("utf-8")).split("\n\n")
    tables = [block.strip().splitlines() for block in blocks if block.strip().startswith("|")]
    for table in tables:
        assert len(table) > 2 and set(table[1]) <= set("|-: "), table[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_an_extra_is_installed_from_a_checkout_and_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    assert "'mumath-agent[" not in text  # there is no release yet
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for named in _EXTRAS.findall(text):
        assert set(named.split(",")) <= extras.keys(), named


def test_llms_txt_lists_every_page() -> None:
    listed = set(_LINK.findall((ROOT / "llms.txt").read_text("utf-8")))
    assert listed == {path.relative_to(ROOT).as_posix() for path in PAGES if path.suffix == ".md"}


def test_the_reference_is_made_of_the_docstrings(tmp_path: Path) -> None:
    here = ROOT / "mumath_agent"
    modules = {path.stem for path in here.glob("*.py")} - {"__init__", "__main__"}
    packages = {path.parent.name for path in here.glob("*/__init__.py")}
    # pdoc follows a package's `__all__`, which holds our public names and no module.
    named = [f"mumath_agent.{name}" for name in sorted(modules | packages)]
    command = [sys.executable, "-m", "pdoc", "mumath_agent", *named, "-o", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    pages = {path.stem for path in (tmp_path / "mumath_agent").glob("*.html")}
    assert modules | packages <= pages
    made = (tmp_path / "mumath_agent" / "agent" / "api.html").read_text("utf-8")
    assert "Answer one question and wait for it" in made
