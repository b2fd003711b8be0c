"""The pages hang together: all are listed, all links lead somewhere, and the reference builds from the docstrings."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "llms.txt", *sorted((ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
_FENCED = re.compile(r"^(```+).*?^\1", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_llms_txt_lists_every_page() -> None:
    listed = set(_LINK.findall((ROOT / "llms.txt").read_text("utf-8")))
    assert listed == {path.relative_to(ROOT).as_posix() for path in PAGES if path.suffix == ".md"}


def test_the_reference_is_made_of_the_docstrings(tmp_path: Path) -> None:
    """`pdoc` imports every module; one that fails to import, or a link it can't make, is a warning."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-m", "pdoc", "mumath_agent", "-o", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    made = (tmp_path / "mumath_agent" / "solver.html").read_text("utf-8")
    assert "Answer one question and wait for it" in made
