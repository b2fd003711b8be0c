"""The page in a real Chromium, served by a real server; the model follows scripts, or is the embedded one.

By day each thing that a person does is done once; the other sizes, colours and hostile texts are slow tests.
"""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from mumath_agent.front.security import Access
from tests.browser import Browser, Tab, chromium, in_browser, needs_chromium
from tests.page_server import ScriptedByQuestion, page_server
from tests.waiting import comes_true

pytestmark = [in_browser, needs_chromium, pytest.mark.kernel, pytest.mark.worker]
PROGRAM = "Multiply.\n```python\n{}\n```\n"
GATES = {name: Event() for name in ("stream", "stop", "tabs", "reload", "votes", "figure")}
HOSTILE = (
    "<script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "</textarea></title><svg onload=document.title='taken'>",
    r"$\href{javascript:document.title='taken'}{press}$ \(\url{javascript:alert(1)}\)",
    r"$\htmlClass{x}{y}\htmlStyle{position:fixed}{z}\includegraphics{http://evil.example/a.png}$",
    r"$\def\a{\a\a}\a$ $\rule{9999em}{9999em}$ $" + "{" * 900 + "}" * 900 + "$ $" + "x^" * 500 + "$",
    "$" + r"\sqrt{" * 280 + "1" + "}" * 280 + r"$ $\raisebox{-9999em}{far}$",
    "\x1b[31mred\x1b[0m \u202egnisrever\u202c zero\u200bwidth",
    "[link](javascript:document.title='taken') ![image](http://evil.example/b.png)",
)
MODEL = ScriptedByQuestion(
    turns={
        "How much is $17 \\times 23$": [
            PROGRAM.format("print(17 * 23)"),
            r"So it is $17\cdot 23=\boxed{391}$.",
        ],
        "a stream": [["It is ", "slowly **coming**", GATES["stream"], r" to \boxed{5}."]],
        "a stop": [["Never ", GATES["stop"], "ending."]],
        "two tabs": [["In both ", GATES["tabs"], r"it is \boxed{7}."]],
        "a reload": [["Before the reload ", GATES["reload"], r"and after it \boxed{8}."]],
        "an edit": [PROGRAM.format("secret = 41\nprint(secret)"), r"\boxed{42}"],
        "a refusal": [PROGRAM.format("import os\nprint('\u202eos')"), r"Then \boxed{3}."],
        "what was secret": [PROGRAM.format("print(secret + 1)"), r"\boxed{43}"],
        "a figure": [
            PROGRAM.format("import matplotlib.pyplot as plt\nplt.plot([1, 4, 9, 16])\nplt.show()"),
            ["It grows: ", GATES["figure"], r"\boxed{16}."],
        ],
        "hostile": [
            [
                "".join(HOSTILE),
                "\n```python\n# ",
                HOSTILE[1],
                f"\nx = 1\nfor text in {HOSTILE!r}: print(text)\n```\n",
            ],
            r"\boxed{" + HOSTILE[1] + "}",
        ],
    },
    attempts={
        "four votes": [r"\boxed{2}", [GATES["votes"], r"\boxed{3}"], r"\boxed{\frac12}", r"\boxed{2}"],
    },
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with page_server(MODEL, tmp_path_factory.mktemp("page") / "history.sqlite") as url:
        yield url


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return axe-core, which looks at a page for what keeps people out."""
    if not (npm := shutil.which("npm")):
        pytest.skip("no npm on PATH")
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run([npm, "pack", "axe-core@4.14.1"], cwd=folder, check=True, capture_output=True)
    with tarfile.open(folder / "axe-core-4.14.1.tgz") as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode()


@pytest.fixture
def tab(browser: Browser, address: str) -> Iterator[Tab]:
    tab = browser.tab().open(address)
    yield tab
    assert tab.problems() == []
    assert all(url.startswith((address, "data:", "blob:")) for url in tab.requested())
    tab.close()


def ask(tab: Tab, question: str, *, attempts: int = 1, approve: bool = False) -> None:
    tab.wait("document.querySelector('#model').options.length > 0")
    tab.fill("#attempts", str(attempts))
    tab.run(f"document.querySelector('#approve').checked = {json.dumps(approve)}")
    tab.fill("#question", question)
    tab.press("Enter")
    tab.wait("location.pathname.startsWith('/c/')")


def value(tab: Tab) -> str:
    tab.wait("document.querySelector('.value, .none, .note')")
    found: str = tab.wait("document.querySelector('.answer:last-child .value annotation')?.textContent")
    return found


def test_a_question_comes_to_its_boxed_answer(tab: Tab) -> None:
    ask(tab, "How much is $17 \\times 23$?")
    assert value(tab) == "391"
    tab.sees("Program", "print(17 * 23)", "Output", "Turn 2", "Notebook")
    assert tab.run("document.querySelectorAll('.rationale .katex').length") >= 1
    assert tab.run("document.querySelector('h2.question .katex') !== null")
    assert tab.run("document.title").startswith("391 · How much")
    tab.wait("document.querySelector('#said').textContent === 'Answer: 391'")
    tab.wait("[...document.querySelectorAll('nav a')].some(a => a.innerText.includes('391'))")


def test_what_the_model_writes_is_there_while_it_writes(tab: Tab) -> None:
    ask(tab, "a stream")
    tab.sees("slowly", "coming")
    assert tab.run("document.querySelector('.rationale strong').textContent") == "coming"
    assert tab.run("document.querySelector('.value')") is None
    GATES["stream"].set()
    assert value(tab) == "5"


def test_an_answer_can_be_stopped(tab: Tab) -> None:
    ask(tab, "a stop")
    tab.sees("Never")
    tab.click("Stop")
    tab.sees("Stopped")
    assert "Never" in tab.text()
    assert comes_true(lambda: "a stop" in MODEL.cancelled)
    assert tab.run("document.activeElement.className") == "answer"


def test_two_tabs_see_the_same(browser: Browser, tab: Tab) -> None:
    ask(tab, "two tabs")
    other = browser.beside(tab.context).open(tab.run("location.href"))
    other.sees("In both")
    GATES["tabs"].set()
    assert value(tab) == value(other) == "7"
    assert other.problems() == []
    other.close()


def test_a_page_that_is_read_again_in_the_middle_goes_on(tab: Tab) -> None:
    ask(tab, "a reload")
    tab.sees("Before the reload")
    tab.call("Page.reload")
    tab.wait("document.readyState === 'complete'")
    tab.sees("Before the reload")
    GATES["reload"].set()
    assert value(tab) == "8"
    tab.call("Page.reload")
    assert value(tab) == "8"


def test_votes_are_counted_as_they_come(tab: Tab) -> None:
    ask(tab, "four votes", attempts=4)
    tab.wait("document.querySelectorAll('.votes li').length === 2")
    assert tab.run("document.querySelectorAll('.attempts.several .attempt').length") == 4
    assert tab.run("document.querySelector('.value')") is None
    GATES["votes"].set()
    assert value(tab) == "2"
    tab.sees("onfidence 0.")
    assert tab.run("document.querySelectorAll('details.attempt[open]').length") == 1


def test_a_program_is_edited_before_it_runs_and_a_follow_up_has_its_session(tab: Tab) -> None:
    ask(tab, "an edit", approve=True)
    tab.click("Edit")
    assert tab.run("document.activeElement.value") == "secret = 41\nprint(secret)\n"
    tab.fill(".decision textarea", "secret = 42\nprint(secret)")
    tab.click("Run this")
    assert value(tab) == "42"
    tab.sees("changed by a person before it ran", "42")
    ask(tab, "what was secret")
    tab.wait(
        "document.querySelectorAll('.answer').length === 2 && document.querySelectorAll('.value').length === 2"
    )
    assert value(tab) == "43"
    assert "Question: an edit\nAnswer: 42" in MODEL.prompts[-1]


def test_a_program_can_be_refused_and_hides_nothing(tab: Tab) -> None:
    ask(tab, "a refusal", approve=True)
    tab.sees("can't be seen", "\\u202e")
    tab.click("Don't run it")
    tab.fill(".decision input", "not on my machine")
    tab.click("Don't run it")
    assert value(tab) == "3"
    assert "a person rejected it: not on my machine" in MODEL.prompts[-1]


def test_hostile_text_is_shown_and_does_nothing(tab: Tab) -> None:
    ask(tab, "hostile " + HOSTILE[0])
    tab.wait("document.querySelector('.result .value')")
    tab.sees("onerror", "U+001B", "U+202E", "U+200B", "[link](javascript:")
    assert "taken" not in tab.run("document.title").replace("document.title='taken'", "")
    found = "#answers {0}, nav {0}"
    for bad in (
        "script",
        "svg[onload]",
        "[href^=javascript]",
        "iframe",
        "img:not([src^='data:image/png'])",
        ".x",
    ):
        assert tab.run(f"document.querySelectorAll({json.dumps(found.format(bad))}).length") == 0, bad
    assert tab.run("[...document.querySelectorAll('*')].every(e => e.style.position !== 'fixed')")
    for width in (1280, 390):
        tab.resize(width, 844)
        tab.wait("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert tab.run("document.documentElement.scrollHeight") < 20_000


def test_a_page_to_share_loads_nothing_and_does_nothing(tab: Tab, browser: Browser, tmp_path: Path) -> None:
    ask(tab, "hostile to share")
    tab.wait("document.querySelector('.result .value')")
    text = tab.run("fetch(document.querySelector('[download=\"solution.html\"]').href).then(r => r.text())")
    (tmp_path / "shared.html").write_text(text, "utf-8")
    other = browser.tab().open((tmp_path / "shared.html").as_uri())
    other.sees("Attempt 1", "onerror", "U+202E", "x = 1")
    assert "taken" not in other.run("document.title")
    assert other.run("document.querySelectorAll('img, svg[onload], [href^=javascript]').length") == 0
    assert other.run("document.querySelectorAll('math').length") > 0
    assert other.problems() == [] and len(other.requested()) == 1
    other.close()


def test_the_page_can_be_used_with_the_keyboard_alone(tab: Tab) -> None:
    tab.wait("document.activeElement.id === 'question' && document.querySelector('#model').options.length")
    focused, names = "document.activeElement", []
    for _ in range(4):
        tab.press("Tab")
        names.append(tab.run(f"{focused}.id || {focused}.innerText"))
    assert names == ["model", "attempts", "approve", "Ask"]
    tab.press("Tab")
    tab.run("document.querySelector('#approve').focus()")
    tab.press(" ")
    tab.run("document.querySelector('#question').focus()")
    tab.call("Input.insertText", text="an edit by keyboard")
    tab.press("Enter")
    tab.wait("document.querySelector('.decision')")
    tab.wait("document.querySelector('#said').textContent.includes('waits for you')")
    while tab.run(f"{focused}.innerText") != "Run it":
        tab.press("Tab")
        names.append(tab.run(f"{focused}.innerText"))
        assert len(names) < 40, names
    tab.press("Enter")
    assert value(tab) == "42"
    assert tab.run(f"{focused}.className") == "answer"


def test_a_server_with_a_key_asks_for_it(browser: Browser, tmp_path: Path) -> None:
    with page_server(MODEL, tmp_path / "h.sqlite", access=Access(keys=("open-sesame",))) as url:
        tab = browser.tab().open(url)
        for key, said in (("wrong", "This isn't the key."), ("open-sesame", "Ask a question")):
            tab.fill("#key", key)
            tab.press("Enter")
            tab.sees(said)
        ask(tab, "unknown to the model")
        tab.sees("Failed: nothing answers")
        tab.call("Network.clearBrowserCookies")
        tab.fill("#question", "once more")
        tab.press("Enter")
        tab.sees("asks for its key again")
        tab.call("Page.reload")
        tab.sees("Key of this server")
        tab.close()


def test_a_script_that_got_into_the_page_is_stopped_by_the_policy(browser: Browser, address: str) -> None:
    tab = browser.tab().open(address)
    for script in (
        "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
        "document.createElement('script').text = 'document.title = 1'",
        "setTimeout('document.title = 1', 0)",
        "document.body.setAttribute('onclick', 'document.title = 1')",
    ):
        refused = f"(() => {{ try {{ {script}; return 'ran'; }} catch (e) {{ return e.name; }} }})()"
        assert tab.run(refused) in ("TypeError", "EvalError"), script
    assert tab.run("document.title") == "mumath-agent"
    tab.close()


@pytest.mark.slow  # importing matplotlib takes seconds
def test_a_figure_is_shown_when_its_program_has_ended(tab: Tab) -> None:
    ask(tab, "a figure")
    tab.wait("document.querySelector('.turns img')?.naturalWidth > 100")  # while the model is still writing
    GATES["figure"].set()
    assert value(tab) == "16"
    assert tab.run("document.querySelector('.turns img').alt") == "Figure 1 of this turn"


@pytest.mark.slow  # it fetches the rules
@pytest.mark.network
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_axe_finds_nothing_to_mend(browser: Browser, address: str, axe: str, width: int, dark: bool) -> None:
    tab = browser.tab(width, 844, dark=dark).open(address)
    tab.call("Page.setBypassCSP", enabled=True)
    looks = "axe.run({resultTypes: ['violations']}).then(r => r.violations.map(v => [v.id, v.nodes[0].html]))"
    tab.wait("document.querySelector('#model').options.length")
    assert tab.run(f"(() => {{ {axe} }})(), {looks}") == []
    ask(tab, f"an edit at {width} {dark}", approve=True)
    tab.wait("document.querySelector('.decision')")
    assert tab.run(looks) == []
    tab.click("Edit")
    assert tab.run(looks) == []
    tab.click("Run this")
    value(tab)
    ask(tab, f"hostile at {width} {dark}")
    tab.wait("document.querySelectorAll('.result .value').length === 2")
    assert tab.run(looks) == []
    tab.close()


def test_what_there_is_not_is_said(tab: Tab, address: str) -> None:
    ask(tab, "unknown to the model")
    tab.sees("Failed: nothing answers at http://nowhere.example/v1")
