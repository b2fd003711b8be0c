"""What a page is told bit by bit adds up to what there is, whenever the page came."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from mumath_agent.agent.attempts import SolvingEvent
from mumath_agent.dialects import get_dialect
from mumath_agent.front.web.following import PRINTED_CHARS, Following
from mumath_agent.front.web.stream import changes
from mumath_agent.front.web.views import AnswerView, Asked, new_view
from mumath_agent.records import to_json


def event(name: str, text: str = "", sample: int = 0, **more: Any) -> SolvingEvent:
    return {"event": name, "problem": "p", "text": text, "sample": sample, **more}  # type: ignore[typeddict-item]


def following() -> Following:
    return Following(new_view(id="a", question="q $x$", model="m", number=2, asked_at="now"))


EVENTS: list[SolvingEvent] = [
    event("attempt"),
    event("attempt", sample=1),
    event("text", "Let $x$ be "),
    event("text", "one.\n```python\nprint(1)"),
    event("text", "I know it:\n", sample=1),
    event("text", "\n```\n"),
    event("program", "print(1)\n"),
    event("stdout", "1"),
    event("stderr", "\x1b[31mwarning\r\n"),
    event("output", "```output\n1\nwarning\n```\n", status="ok"),
    event("note", "[One turn is left.]"),
    event("text", r"So \boxed{1}."),
    event("note", "[Go on.]"),
    {"event": "votes", "problem": "p", "text": "1", "votes": {"1": 1}},
    event("text", "```output\n7\n```\nWell, ", sample=1),
    event("cancelled", sample=1),
]


class Page:
    """A page as answers.js is one."""

    def __init__(self) -> None:
        self.views: list[Any] = []
        self.turns: dict[int, list[Any]] = {}

    def take(self, told: Iterable[tuple[str, Any]]) -> None:
        for name, data in json.loads(json.dumps(list(told))):
            if name == "conversation":
                self.views = data
                self.turns = {each["sample"]: each["turns"] for each in data[-1]["attempts"]}
            elif name == "answer":
                self.views[-1] = data
            elif name == "turns":
                del self.turns[data["sample"]][data["number"] :]
            else:
                turns = self.turns.setdefault(data["sample"], [])
                old = turns[data["turn"]]["parts"] if data["turn"] < len(turns) else []
                new = {**data["changed"], "parts": old[: data["from"]] + data["changed"]["parts"]}
                turns[data["turn"] :] = [new, *turns[data["turn"] + 1 :]]

    @property
    def last(self) -> Any:
        attempts = [
            {**each, "turns": self.turns.get(each["sample"], [])} for each in self.views[-1]["attempts"]
        ]
        return {**self.views[-1], "attempts": attempts}


@pytest.mark.parametrize("skipped", [1, 2, 3, len(EVENTS)])
@pytest.mark.parametrize("comes_at", [0, 7])
def test_changes_add_up_to_the_view(skipped: int, comes_at: int) -> None:
    live, page, before = following(), Page(), list[AnswerView]()
    for number, each in enumerate(EVENTS):
        live.heard(each)
        if number < comes_at or number % skipped:
            continue
        now = [live.view]
        page.take(changes(before, now))
        before = now
        assert page.last == to_json(live.view)
    page.take(changes(before, [live.view]))
    assert page.last == to_json(live.view)


def test_a_program_that_is_being_written_isn_t_called_unclosed() -> None:
    live = following()
    for each in EVENTS[:4]:
        live.heard(each)
    code = live.view.attempts[0].turns[0].parts[-1]
    assert code.kind == "code" and code.colours and not code.unclosed


def test_what_happens_is_in_the_view() -> None:
    live = following()
    states = []
    for each in EVENTS:
        live.heard(each)
        states.append(live.view.attempts[0].state)
    assert list(dict.fromkeys(states)) == ["begun", "writing", "running"]
    first, second = live.view.attempts
    kinds = [[part.kind for part in turn.parts] for turn in first.turns]
    assert kinds == [["rationale", "code", "output", "note"], ["rationale", "note"]]
    assert first.turns[0].parts[2].text == "1\nwarning"
    assert second.state == "cancelled" and second.turns[0].parts[1].kind == "invented"
    assert live.view.votes[0].votes == 1


def test_a_program_under_way_shows_what_it_printed_to_a_length_without_what_cant_be_seen() -> None:
    live = following()
    for each in EVENTS[:7]:
        live.heard(each)
    live.heard(event("stdout", "\x1b[31mred\u202e\n"))
    for _ in range(100):
        live.heard(event("stdout", "x" * 1000))
    output = live.view.attempts[0].turns[-1].parts[-1]
    assert output.text.startswith("[31mred\nxxx") and len(output.text) == PRINTED_CHARS
    assert live.view.attempts[0].turns[-1].ran is not None


def test_a_figure_is_shown_as_soon_as_its_program_has_ended_and_nothing_else_is_one() -> None:
    live = following()
    for each in EVENTS[:7]:
        live.heard(each)
    picture = "data:image/png;base64,iVBORw0KGgo="
    live.heard(
        event("output", "1", status="ok", figures=(picture, "data:text/html,<script>", "https://e.example/x"))
    )
    ran = live.view.attempts[0].turns[0].ran
    assert ran is not None and ran.figures == (picture,)


def test_a_program_that_waits_is_shown_until_it_is_decided_on() -> None:
    live = following()
    live.heard(event("attempt"))
    live.ask(Asked(token="t", sample=0, program="x", visible="x", colours="p1"))
    assert [each.token for each in live.view.asked] == ["t"] and live.view.attempts[0].state == "asking"
    live.answered("t")
    live.answered("t")
    assert live.view.asked == () and live.view.attempts[0].state == "running"


def test_marks_of_other_dialects_are_understood() -> None:
    live = following()
    live.dialect = get_dialect("blocks")
    live.heard(event("attempt"))
    live.heard(event("text", "<|text|>Count.<|endofblock|><|code|>print(1)<|endofblock|>"))
    assert [part.text for part in live.view.attempts[0].turns[0].parts] == ["Count.", "print(1)"]
