r"""Read the program out of the arguments of a call of the tool `python`, as models really write them.

They should be the JSON object {"code": "…"}. What models send instead is read where it can mean one thing
only. In JSON "\f" is a form feed and "\n" a line end, but models often forget to double a backslash of their program:
"\frac" or "\beta" within a formula are meant as they stand. So a single backslash before b, f, n, r or t is read by
where it stands in the program:

    \b \f           as they stand, everywhere: no program needs the characters
    \n \r \t        between tokens and in comments: line end and tab, as JSON says
                    within '…' or "…": as they stand; a line end can't be there, and Python reads "\t" as a tab itself
                    within triple quotes: \n is a line end, and \t a tab at the beginning of a line
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from mumath_agent.dialects.programs import computes, parses

_NAMES = ("code", "program", "script", "source", "input", "python", "command")
"""What models call the argument; the first is its name."""
WRAPPERS = ("arguments", "parameters")
_FENCED = re.compile(
    r"(?P<fence>`{3,}|~{3,})[ \t]*[\w+#.-]*[ \t]*\r?\n(?P<inside>.*?)(?:\r?\n?(?P=fence)\s*)?", re.DOTALL
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_MARKS = dict(zip("nrtbf", map(chr, range(0xFDD0, 0xFDD5)), strict=True))
"""Characters that no text has stand for the escapes whose meaning depends on the place."""
_ESCAPE_OF = {mark: f"\\{letter}" for letter, mark in _MARKS.items()}
_PIECE = re.compile(
    r"(?P<mark>[\ufdd0-\ufdd4])|\\[^\ufdd0-\ufdd4]|'''|\"\"\"|['\"#\n]|[^'\"#\n\\\ufdd0-\ufdd4]+|.", re.DOTALL
)
_STRAY = re.compile(r"""["'`,;\s}\]]*""")
_LAST_COMMA = re.compile(r",\s*([}\]]\s*)\Z")
_LOOSE = re.compile(r"\{\s*['\"]?(?P<name>\w+)['\"]*\s*:\s*(?:\"{3}|'{3}|\"|')")
"""The beginning of an object of one string, whatever is wrong with its quotes."""
_MOST_STRAY = 6


def program_of(arguments: str) -> str | None:
    """Return the program in the arguments of a call of `python`; None if they can't be read with certainty."""
    text = unfenced(arguments).strip()
    code = _code_in(value_of(text))
    if code is None:
        code = _loose_program(text)
    if code is None and text[:1] not in ("{", "[", '"') and computes(text):
        code = text
    return None if code is None or not code.strip() else unfenced(code)


def unfenced(code: str) -> str:
    """Return the program inside a Markdown fence, or `code` as it is: no Python program begins with a fence."""
    found = _FENCED.fullmatch(code.strip())
    return found["inside"] if found else code


def value_of(text: str) -> Any:
    """Return the JSON value that `text` begins with, if only stray marks or words follow it; None if there is none."""
    marked = _marked(text)
    for attempt in (marked, _LAST_COMMA.sub(r"\1", marked)):
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(attempt)
        except (ValueError, RecursionError):
            continue
        rest = attempt[end:]
        if _STRAY.fullmatch(rest) or (isinstance(value, dict) and not re.search(r"[{}\[\]]", rest)):
            return value
    return None


def _marked(text: str) -> str:
    """Return JSON with a mark for each escape that depends on its place, and lone backslashes doubled."""
    bare_quotes = re.search(r"(?<!\\)'", text) is None  # each ' has a backslash: it escapes them all

    def marked(escape: re.Match[str]) -> str:
        letter = escape[1]
        if letter in _MARKS:
            return _MARKS[letter]
        if letter in ('"', "\\", "/") or len(letter) > 1:
            return escape[0]
        return "'" if letter == "'" and bare_quotes else f"\\\\{letter}"

    return _ESCAPE.sub(marked, text)


def _code_in(value: Any) -> str | None:
    """Return the one program in the arguments' value, with its marks resolved."""
    if isinstance(value, str):
        inner = plain_json(value).strip()
        if inner[:1] == "{":  # JSON within JSON
            return _code_in(value_of(inner))
        code = _resolved(value)
        return code if computes(code) else None
    if not isinstance(value, dict):
        return None
    named = [value[name] for name in _NAMES if _is_text(value.get(name))]
    if _is_text(value.get("code")):
        named = [value["code"]]
    if len(named) == 1:
        return unfenced(_resolved(_lines(named[0])))
    if not named:
        for name in WRAPPERS:
            if isinstance(value.get(name), dict | str):
                return _code_in(value[name])
    texts = [text for text in value.values() if isinstance(text, str)]
    if not named and len(texts) == 1 and computes(code := unfenced(_resolved(texts[0]))):
        return code
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(line, str) for line in value)
    )


def _lines(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "\n".join(line.rstrip("\n") for line in value)


def _loose_program(text: str) -> str | None:
    """Return the string in an object that isn't JSON, if it is Python without the marks around it."""
    begun = _LOOSE.match(text)
    if begun is None or begun["name"] not in _NAMES:
        return None
    written = text[begun.end() :]
    least = written.rstrip("\"'`,;} \t\r\n")
    for end in range(len(least), min(len(written), len(least) + _MOST_STRAY) + 1):
        code = unfenced(_resolved(re.sub(r'\\(["\\/])', r"\1", _marked(written[:end]))))
        if computes(code):
            return code
    return None


def plain_json(value: str) -> str:
    """Return a string with each mark as the JSON escape that it was."""
    return "".join(_ESCAPE_OF.get(char, char) for char in value)


def _resolved(value: str) -> str:
    """Return a program with its marks resolved by where they stand; see the module's docstring."""
    value = value.replace(_MARKS["r"] + _MARKS["n"], _MARKS["n"])
    code = "".join(_pieces(value))
    if parses(code) or not any(mark in value for mark in _ESCAPE_OF):
        return code
    return "".join(as_json_says(char) for char in value)  # its error is easier to read in lines


def _pieces(value: str) -> Iterator[str]:
    inside, line_begins = "", True  # the quote that is open, or "#" in a comment
    for piece in _PIECE.finditer(value):
        text = piece.group()
        if piece["mark"]:
            text = _meaning(text, inside, line_begins)
        if text.endswith("\n") and len(inside) < 3:
            inside = ""
        elif not inside and text in ("'", '"', "'''", '"""', "#"):
            inside = text
        elif inside != "#" and text in (inside, inside * 3):  # an empty string beside the quote that ends one
            inside = ""
        line_begins = text == "\n" or (line_begins and not text.strip())
        yield text


def _meaning(mark: str, inside: str, line_begins: bool) -> str:
    escape = _ESCAPE_OF[mark]
    within_triple = len(inside) == 3
    if inside in ("'", '"') or (within_triple and escape != r"\n" and not (escape == r"\t" and line_begins)):
        return escape
    return as_json_says(mark)


def as_json_says(char: str) -> str:
    """Return what a mark means in JSON, and any other character as it is; a form feed and a backspace stay escapes."""
    escape = _ESCAPE_OF.get(char, char)
    return {r"\n": "\n", r"\r": "\n", r"\t": "\t"}.get(escape, escape)
