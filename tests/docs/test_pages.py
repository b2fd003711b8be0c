"""The pages hang together: all are listed, all links lead somewhere, and the site builds of them and the docstrings.

The site takes all our modules and a quarter of a minute of computing, so what is asked of it is slow; by day the links
of the pages themselves are followed.
"""

import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

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


@pytest.fixture(scope="module")
def site() -> dict[Path, "Page"]:
    """Build the site and read its pages; it lies where git doesn't look."""
    command = ["make", "site", f"bin={Path(sys.executable).parent}"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return {path: Page(path) for path in (ROOT / "site").rglob("*.html")}


class Page(HTMLParser):
    """The links of an HTML page, and the anchors that others may link to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        found = {value for name in ("href", "src") if (value := given.get(name))}
        self.links |= found
        self.loaded |= found if tag in ("img", "link", "script") else set()
        self.anchors.update(value for name in ("id", "name") if (value := given.get(name)))


@pytest.mark.slow
def test_no_link_of_the_site_is_dead(site: dict[Path, Page]) -> None:
    dead = []
    reference = ROOT / "site" / "reference"  # pdoc links to private names that it doesn't show
    for page in site.values():
        for link in page.links if reference not in page.path.parents else ():
            parts = urlsplit(link)
            if parts.scheme or page.path.name == "404.html":
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            target = target / "index.html" if target.is_dir() else target
            anchors = site[target].anchors if target in site else set()
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in anchors):
                dead.append(f"{page.path.relative_to(ROOT)}: {link}")
    assert dead == []
    assert len(site) > len(PAGES)


@pytest.mark.slow
def test_readers_of_the_site_load_nothing_from_elsewhere(site: dict[Path, Page]) -> None:
    loaded = {link for page in site.values() for link in page.loaded}
    assert loaded and not [link for link in loaded if urlsplit(link).netloc]


@pytest.mark.slow
def test_the_reference_is_made_of_the_docstrings(site: dict[Path, Page]) -> None:
    here = ROOT / "mumath_agent"
    modules = {path.stem for path in here.glob("*.py")} - {"__init__", "__main__"}
    packages = {path.parent.name for path in here.glob("*/__init__.py")}
    reference = ROOT / "site" / "reference"
    assert modules | packages <= {path.stem for path in (reference / "mumath_agent").glob("*.html")}
    made = (reference / "mumath_agent.html").read_text("utf-8")
    assert "Answer one question and wait for it" in made
