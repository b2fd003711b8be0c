"""The page of a run: what is in it is what was recorded, and nothing a model wrote can act in it.

Chromium starts for every look at the page, so addresses and filters that are parts of others are slow tests.
"""

import html
import json
import re
import subprocess
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.figures import make_report
from benchmarks.report.viewer import page
from benchmarks.report.viewer.entries import Entry, entries
from benchmarks.runs import Run
from mumath_agent.bridge import run_sync
from mumath_agent.dialects import get_dialect
from mumath_agent.grading import Grader
from mumath_agent.protocols import Dialect
from mumath_agent.records import (
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Outcome,
    RunRecord,
    StopReason,
    from_json,
    to_json,
)
from mumath_agent.runs.page.highlight import colours
from mumath_agent.transcript import Kind, Segment, Transcript
from tests.browser import CHROMIUM, FLAGS, in_browser, needs_chromium

Attempt = Callable[..., RunRecord]
PNG = "data:image/png;base64," + b64encode(b"\x89PNG\r\n\x1a\n").decode()
HOSTILE = (
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "<!--<script>",
    "</title></style></textarea><svg onload=alert(1)>",
    "\"'><b onmouseover=alert(1)>",
    "{{ 7 * 7 }}{% raw %}${alert(1)}",
    "javascript:alert(1)\u2028\u2029\x00",
)


def run(*records: RunRecord, name: str = "a-run") -> Run:
    return Run(path=Path(name), manifest=None, records=records)


def page_of(*runs: Run) -> str:
    async def made() -> str:
        async with Grader() as grader:
            return page(runs, [await make_report(each, grader) for each in runs])

    return run_sync(made())


def completion(text: str, reason: FinishReason = FinishReason.STOP) -> Completion:
    return Completion(text=text, finish_reason=reason, prompt_tokens=70, completion_tokens=9)


def solved(dialect: Dialect, *steps: str | Execution) -> dict[str, object]:
    """Build a trajectory as the graph does, from what the model writes and what its programs do."""
    transcript = Transcript(question="?")
    for step in steps:
        if isinstance(step, str):
            transcript = dialect.with_completion(transcript, completion(step))
        else:
            transcript = dialect.with_output(transcript, step, max_chars=400)
    return {
        "transcript": transcript,
        "completions": tuple(completion(step) for step in steps if isinstance(step, str)),
        "executions": tuple(step for step in steps if isinstance(step, Execution)),
    }


def spoken(dialect: str, attempt: Attempt, *steps: str | Execution) -> RunRecord:
    """Return the record of an attempt in a dialect."""
    made = attempt(**solved(get_dialect(dialect), *steps))
    return replace(made, settings=replace(made.settings, dialect=dialect))


@dataclass
class Outline(HTMLParser):
    """Which elements a page has, and which addresses and handlers."""

    tags: Counter[str] = field(default_factory=Counter)
    suspicious: list[tuple[str, str | None]] = field(default_factory=list)
    text: dict[str, list[str]] = field(default_factory=dict)
    last: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.last = tag
        for name, value in attrs:
            if name.startswith("on") or name in {"src", "href", "style", "action", "srcdoc"}:
                self.suspicious.append((name, value))

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self.last, []).append(data)


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    found.close()
    return found


def island(text: str) -> list[Entry]:
    content = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert content
    return [from_json(Entry, item) for item in json.loads(content[1])]


# --- what is in it


def test_turns_are_the_completions_and_only_kernels_write_outputs(attempt: Attempt) -> None:
    failed = Execution(status=ExecutionStatus.ERROR, error="NameError: x", duration_s=0.25, state_lost=True)
    written = (
        "Two tries.\n```python\nx\n```\n```output\n41\n```\nSo I guess 41, or:\n```python\nprint(x)\n```",
        failed,
        "```python\n1 + 1\n```\n",
        Execution(status=ExecutionStatus.OK, result="2", artefacts=(PNG,), state_replayed=True),
        "It is \\boxed{2}.",
    )
    (entry,) = entries([run(attempt(**solved(get_dialect("fenced"), *written)))])
    assert [[part.kind for part in turn.parts] for turn in entry.turns] == [
        ["rationale", "code", "invented", "rationale", "code", "output"],
        ["code", "output"],
        ["rationale"],
    ]
    assert [turn.ran and (turn.ran.status, turn.ran.failed, turn.ran.state) for turn in entry.turns] == [
        ("error", True, "lost"),
        ("ok", False, "rebuilt"),
        None,
    ]
    assert entry.turns[0].parts[1].text == "x"
    assert entry.turns[0].parts[2].text == "41"
    assert entry.turns[1].ran is not None
    assert entry.turns[1].ran.figures == (PNG,)
    assert (entry.cells, entry.tokens) == (2, 27)


def test_a_note_of_the_agent_is_no_output_of_a_program(attempt: Attempt) -> None:
    made = spoken("chat", attempt, "I wonder.", "It is \\boxed{2}.")
    first, second = made.trajectory.transcript.segments
    (note,) = get_dialect("chat").with_note(Transcript(question=""), "Go on.").segments
    transcript = Transcript(question="?", segments=(first, note, second))
    (entry,) = entries([run(replace(made, trajectory=replace(made.trajectory, transcript=transcript)))])
    assert [[part.kind for part in turn.parts] for turn in entry.turns] == [
        ["rationale", "note"],
        ["rationale"],
    ]
    assert entry.turns[0].parts[1].text == "[Go on.]"


def test_marks_of_the_block_dialect_stand_apart_too(attempt: Attempt) -> None:
    written = (
        "<|text|>Count.<|endofblock|><|code|>print(1)<|endofblock|>",
        Execution(status=ExecutionStatus.OK, stdout="1\n"),
        "<|text|>\\boxed{1}<|endofblock|>",
    )
    (entry,) = entries([run(spoken("blocks", attempt, *written))])
    assert [[part.text for part in turn.parts] for turn in entry.turns] == [
        ["Count.", "print(1)", "1"],
        ["\\boxed{1}"],
    ]


def test_a_completion_of_which_a_dialect_keeps_the_beginning_has_the_kernels_output(attempt: Attempt) -> None:
    written = (
        "```python\n1 + 1\n```\nThat prints 3, so the answer is, after a long thought, \\boxed{3}.",
        Execution(status=ExecutionStatus.OK, result="2"),
        "It is \\boxed{2}.",
    )
    (entry,) = entries([run(spoken("chat", attempt, *written))])
    kinds = [[part.kind for part in turn.parts] for turn in entry.turns]
    assert kinds == [["code", "output"], ["rationale"]]
    assert [turn.ran is not None for turn in entry.turns] == [True, False]


texts = st.text(st.sampled_from("a\n `p<|>é𝔸"), max_size=30) | st.sampled_from(
    ["```python\nx\n```\n```output\n"]
)
segments = st.builds(Segment, kind=st.sampled_from(Kind), text=texts, closed=st.booleans())


@given(st.lists(segments, max_size=6), st.lists(texts, max_size=4), st.integers(0, 4))
def test_every_byte_of_a_transcript_is_in_the_page(
    attempt: Attempt, parts: list[Segment], written: list[str], cells: int
) -> None:
    transcript = Transcript(question="?", segments=tuple(parts))
    executions = (Execution(status=ExecutionStatus.OK),) * cells
    record = attempt(
        transcript=transcript, completions=tuple(map(completion, written)), executions=executions
    )
    (entry,) = entries([run(record)])
    shown = "".join(f"{p.before}{p.text}{p.after}" for turn in entry.turns for p in turn.parts)
    assert shown == transcript.text


@given(st.text() | st.text("def f(x):\n  return 'a' # 𝔸\t1.5"))
def test_colours_cover_a_program_whatever_it_is(program: str) -> None:
    runs = re.findall(r"([a-z])(\d+)", colours(program))
    assert "".join(f"{mark}{length}" for mark, length in runs) == colours(program)
    assert sum(int(length) for _, length in runs) == len(program)


def test_colours_tell_keywords_names_and_literals() -> None:
    assert colours("def f():") == "k3p1f1p3"
    assert colours("print('a', 1)  # c") == "b5p1s3p2n1p3c3"


def test_every_attempt_has_an_address_of_its_own(attempt: Attempt) -> None:
    other_question = replace(attempt("1"), problem=replace(attempt("1").problem, question="Another"))
    records = (attempt("1"), other_question, attempt("1", sample=1), attempt("1~1"))
    names = [entry.name for entry in entries([run(*records), run(*records)])]
    assert len(set(names)) == len(names) == 8
    assert [entry.name for entry in entries([run(attempt("gsm8k-3"), attempt("gsm8k-3", sample=2))])] == [
        "gsm8k-3",
        "gsm8k-3~2",
    ]


def test_filters_offer_what_attempts_differ_in_with_counts(attempt: Attempt) -> None:
    records = [attempt(str(n), tags=(f"level:{n}", "type:Algebra")) for n in (10, 9)]
    found = outline(page_of(run(*records, attempt("x", Outcome.INCORRECT))))
    options = [" ".join(text.split()) for text in found.text["option"] if text.strip()]
    assert options[:7] == ["all", "correct (2)", "incorrect (1)", "all", "correct (2)", "wrong (1)", "all"]
    assert options[7:9] == ["9 (1)", "10 (1)"]


# --- that nothing acts in it


def hostile(attempt: Attempt, text: str) -> RunRecord:
    record = attempt(
        text,
        Outcome.INCORRECT,
        answer=text,
        target=text,
        tags=(f"type:{text}", f"{text}:x"),
        model=text,
        transcript=Transcript(
            question=text, segments=tuple(Segment(kind=kind, text=text) for kind in (*Kind, Kind.RATIONALE))
        ),
        completions=(completion(text),),
        executions=(Execution(status=ExecutionStatus.ERROR, error=text, artefacts=(text, PNG)),),
        error=text,
    )
    assert record.verdict is not None
    verdict = replace(record.verdict, method=text, detail=text)
    return replace(record, verdict=verdict, isolation=text, version=text)


@pytest.mark.parametrize("text", HOSTILE)
def test_model_text_makes_no_element_and_no_handler(attempt: Attempt, text: str) -> None:
    made = page_of(
        run(hostile(attempt, text), name="x"), run(hostile(attempt, text), name=text.replace("/", "∕"))
    )
    tame = page_of(run(hostile(attempt, "tame"), name="x"), run(hostile(attempt, "tame"), name="tame"))
    found, expected = outline(made), outline(tame)
    assert found.tags == expected.tags
    assert found.suspicious == expected.suspicious == [("href", "data:,")]
    assert found.tags["script"] == 2
    assert island(made)[0].answer == text


def test_the_policy_lets_only_this_style_and_this_script_in(attempt: Attempt) -> None:
    text = page_of(run(attempt()))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy[1]).split(";"))
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        content = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert content
        assert rules.pop(rule) == f"'sha256-{b64encode(sha256(content[1].encode()).digest()).decode()}'"
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


@pytest.mark.parametrize(
    "artefact",
    [
        "https://example.org/a.png",
        "data:text/html;base64,PHNjcmlwdD4=",
        "data:image/svg+xml;base64,PHN2Zz4=",
        'data:image/png;base64,AAAA" onerror="alert(1)',
        "data:image/png;base64,",
        "javascript:alert(1)",
    ],
)
def test_only_png_data_becomes_a_figure(attempt: Attempt, artefact: str) -> None:
    execution = Execution(status=ExecutionStatus.OK, artefacts=(artefact, PNG))
    (entry,) = entries([run(attempt(executions=(execution,), completions=(completion("x"),)))])
    assert entry.turns[0].ran is not None
    assert entry.turns[0].ran.figures == (PNG,)
    assert b64decode(PNG.partition(",")[2]).startswith(b"\x89PNG")


# --- in a browser

VIRTUAL_TIME = "--virtual-time-budget=3000"  # as if seconds had gone by: what waits for a moment is done


@dataclass(frozen=True)
class Browser:
    """Opens a page at an address and tells what is in it when its script has run."""

    file: Path
    profile: Path

    def open(self, address: str) -> str:
        """Return the page's elements as HTML."""
        assert CHROMIUM is not None
        command = [
            CHROMIUM,
            *FLAGS,
            VIRTUAL_TIME,
            f"--user-data-dir={self.profile}",
            "--dump-dom",
            f"{self.file.as_uri()}#{address}",
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    def act(self, script: str, *, trusted: bool) -> str:
        """Put `script` into a copy of the page, without the policy if it is `trusted`; return the elements then."""
        text = self.file.read_text("utf-8").replace("</body>", f"<script>{script}</script></body>")
        if trusted:
            text = re.sub(r"<meta http-equiv=[^>]*>", "", text)
        copy = self.file.with_name("copy.html")
        copy.write_text(text, "utf-8")
        return replace(self, file=copy).open("")


@pytest.fixture(scope="module")
def browser(attempt: Attempt, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    folder = tmp_path_factory.mktemp("viewer")
    failed = Execution(status=ExecutionStatus.ERROR, error="NameError: x", duration_s=0.25, artefacts=(PNG,))
    written = ("Let me see.\n```python\nprint(x)\n```", failed, "It is \\boxed{7}.")
    wrong = attempt(
        "gsm8k-3", Outcome.INCORRECT, answer="7", tags=("level:2",), **solved(get_dialect("fenced"), *written)
    )
    late = attempt("gsm8k-4", Outcome.NO_ANSWER, answer=None, stop=StopReason.MAX_TURNS, tags=("level:2",))
    many = [attempt(f"many-{n}", tags=("level:1",)) for n in range(500)]
    bad = hostile(attempt, "".join(HOSTILE[:4]))
    file = folder / "page.html"
    file.write_text(
        page_of(run(wrong, late, *many, replace(bad, problem=replace(bad.problem, id="bad")))), "utf-8"
    )
    return Browser(file=file, profile=folder / "profile")


def plain(dom: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", dom)).split())


def pane(dom: str) -> str:
    return dom[dom.index('id="pane"') : dom.index("</article>")]


def rows(dom: str) -> Sequence[str]:
    return re.findall(r'data-name="([^"]*)"', dom[dom.index('id="list"') : dom.index("</nav>")])


@in_browser
@needs_chromium
def test_an_address_filters_and_opens_a_transcript(browser: Browser) -> None:
    dom = browser.open("outcome=incorrect&attempt=gsm8k-3")
    assert rows(dom) == ["gsm8k-3", "bad"]
    assert "2 of 503 attempts" in plain(dom)
    assert re.search(r'data-name="gsm8k-3" aria-current="true"', dom)
    shown = plain(pane(dom))
    for words in (
        "Gold 5",
        "Answer 7",
        "Found in a box",
        "Let me see.",
        "Output: error 250 ms",
        "NameError: x",
    ):
        assert words in shown
    assert "Turn 2 70 tokens read, 9 written" in shown
    assert '<span class="py-b">print</span>(x)' in pane(dom)
    assert f'<img src="{PNG}" alt="Figure 1 of this turn">' in pane(dom)


@in_browser
@needs_chromium
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("cause=turn+limit", ["gsm8k-4"]),
        pytest.param("tag-level=2", ["gsm8k-3", "gsm8k-4"], marks=pytest.mark.slow),
        ("text=LET+ME", ["gsm8k-3"]),
        ("tag-level=2&sort=turns", ["gsm8k-3", "gsm8k-4"]),
        ("outcome=nonsense&text=gsm8k", ["gsm8k-3", "gsm8k-4"]),
        ("text=no+such+text", []),
    ],
)
def test_filters_and_search(browser: Browser, address: str, expected: list[str]) -> None:
    assert rows(browser.open(address)) == expected


@in_browser
@needs_chromium
def test_long_lists_are_drawn_as_far_as_one_looks(browser: Browser) -> None:
    assert len(rows(browser.open(""))) == 200
    dom = browser.open("attempt=many-400")
    assert rows(dom)[402] == "many-400"
    assert "many-400" in plain(pane(dom))


@in_browser
@needs_chromium
def test_hostile_text_is_shown_and_does_nothing(browser: Browser) -> None:
    dom = browser.open("attempt=bad")
    assert "taken" not in dom[dom.index("<title>") : dom.index("</title>")]
    assert plain(pane(dom)).count("document.title='taken'") > 5
    assert "<img" not in pane(dom).replace(f'<img src="{PNG}"', "")
    assert "<script" not in pane(dom)
    assert "<svg onload" not in dom


@in_browser
@needs_chromium
def test_the_policy_stops_a_script_that_got_into_the_page(browser: Browser) -> None:
    script = "document.title = 'taken'; fetch('data:,x').then(() => { document.title = 'fetched'; });"
    assert "<title>a-run</title>" in browser.act(script, trusted=False)
    assert "<title>a-run</title>" not in browser.act(script, trusted=True)


PRESS = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '%s', bubbles: true}));"
CHOOSE = "const select = document.querySelector('[name=%s]'); select.value = '%s';"
CHANGE = "select.dispatchEvent(new Event('input', {bubbles: true}));"


@in_browser
@needs_chromium
@pytest.mark.parametrize(
    ("script", "chosen", "attempts"),
    [
        (PRESS % "ArrowDown" * 3 + PRESS % "ArrowUp", "many-0", 503),
        (PRESS % "j" * 600, "bad", 503),
        (PRESS % "ArrowUp", "gsm8k-3", 503),
        ("document.querySelector('[data-name=many-7]').click();", "many-7", 503),
        ("document.querySelector('[data-cause=\"turn limit\"]').click();", "gsm8k-4", 1),
        pytest.param(CHOOSE % ("outcome", "correct") + CHANGE, "many-0", 500, marks=pytest.mark.slow),
        (CHOOSE % ("text", "let me SEE") + CHANGE, "gsm8k-3", 1),
        (CHOOSE % ("text", "no such text") + CHANGE, "", 0),
        ("location.hash = 'attempt=many-9&tag-level=1';", "many-9", 500),
    ],
    ids=[
        "arrows",
        "many keys",
        "over the end",
        "click",
        "cause",
        "outcome",
        "text",
        "nothing left",
        "address",
    ],
)
def test_keys_clicks_and_filters(browser: Browser, script: str, chosen: str, attempts: int) -> None:
    dom = browser.act(script, trusted=True)
    assert re.findall(r'data-name="([^"]*)" aria-current="true"', dom) == ([chosen] if chosen else [])
    assert f"{attempts} of 503 attempts" in plain(dom)
    assert (f"<h2>{chosen}<" if chosen else "Choose an attempt") in pane(dom)


def test_entries_are_plain_json(attempt: Attempt) -> None:
    (entry,) = entries([run(attempt())])
    assert from_json(Entry, json.loads(json.dumps(to_json(entry)))) == entry
