"""Tell whether two runs are the same by comparing what each wrote down of itself, as plain JSON values.

A folder or file that was begun with other settings, data or code is refused: its results must not be mixed with new
ones. The message names the first difference.
"""

import json
from typing import Any

from mumath_agent.errors import InputError

_SHOWN_CHARS = 60


def first_difference(before: object, now: object) -> str | None:
    """Return the first value in which two JSON values differ, in words; None if they are equal.

    Objects are compared key by key, in the order of `now`; keys of nested ones are joined by dots.
    """
    found = _first(before, now, "")
    if found is None:
        return None
    path, old, new = found
    return f"{path} {_shown(old)}, now it is {_shown(new)}".strip()


def require_same(before: object, now: object, what: str) -> None:
    """Refuse to go on with `what`, a folder or file, unless it was made with the same settings.

    Raises:
        InputError: the two differ; the message names the first difference.
    """
    if difference := first_difference(before, now):
        raise InputError(f"{what} was made with {difference}; name another one, or use the old settings")


def _first(before: object, now: object, path: str) -> tuple[str, object, object] | None:
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return None if before == now else (path, before, now)
    for key in dict.fromkeys([*now, *before]):
        below = f"{path}.{key}" if path else str(key)
        if found := _first(before.get(key), now.get(key), below):
            return found
    return None


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
