"""Tell a page what changes, as server-sent events: all of a conversation first, then only what is new.

conversation   all answers
answer         the last answer without its turns
turn           the parts of one turn from the first that has changed
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

from mumath_agent.front.web.views import AnswerView, AttemptView
from mumath_agent.json_form import to_json
from mumath_agent.runs.page.turns import TurnView


async def events(views: AsyncIterator[list[AnswerView]]) -> AsyncIterator[str]:
    """Yield the events for a page that knows nothing yet."""
    before: list[AnswerView] = []
    async for now in views:
        for name, data in changes(before, now):
            yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
        before = now
    yield "event: end\ndata: {}\n\n"


def changes(before: Sequence[AnswerView], now: Sequence[AnswerView]) -> Iterator[tuple[str, object]]:
    """Yield names and data of the events that bring a page from one state to the other."""
    if len(before) != len(now) or not now or now[-1].state != "running":
        yield "conversation", [to_json(view) for view in now]
        return
    old, new = before[-1], now[-1]
    if _without_turns(old) != _without_turns(new):
        yield "answer", to_json(_without_turns(new))
    known = {each.sample: each for each in old.attempts}
    for attempt in new.attempts:
        turns = known[attempt.sample].turns if attempt.sample in known else ()
        yield from _changed_turns(attempt, turns)


def _changed_turns(attempt: AttemptView, known: Sequence[TurnView]) -> Iterator[tuple[str, object]]:
    for number, turn in enumerate(attempt.turns):
        old = known[number] if number < len(known) else TurnView(parts=())
        if old == turn and number < len(known):
            continue
        pairs = zip(old.parts, turn.parts, strict=False)
        same = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(old.parts), len(turn.parts)))
        same = same if old.ran == turn.ran else 0  # a label of a part may tell of it
        changed = replace(turn, parts=turn.parts[same:])
        yield "turn", {"sample": attempt.sample, "turn": number, "from": same, "changed": to_json(changed)}
    if len(known) > len(attempt.turns):  # the attempt is made again
        yield "turns", {"sample": attempt.sample, "number": len(attempt.turns)}


def _without_turns(view: AnswerView) -> AnswerView:
    return replace(view, attempts=tuple(replace(attempt, turns=()) for attempt in view.attempts))
