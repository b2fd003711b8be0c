r"""Read the calls of the tool `python`, as models really write them, and write each as a block of text.

    python(code)                    ```python block, which runs
    another tool, or unreadable     ```tool_call block with the call as JSON, which doesn't run: it is answered

A call's arguments should be the JSON object {"code": "…"}. What models send instead is read where it can mean one thing
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
from collections.abc import Iterator, Sequence
from typing import Any

from mumath_agent.dialects.programs import computes, parses
from mumath_agent.protocols import ToolCall
from mumath_agent.transcript import Kind, Transcript

PYTHON = "python"
_KNOWN = re.compile(r"(?:functions\.)?python(?:<\|.*)?", re.IGNORECASE | re.DOTALL)
_NAMES = ("code", "program", "script", "source", "input", "python", "command")
"""What models call the argument; the first is its name."""
_WRAPPERS = {"arguments", "parameters"}
_LABEL = "```tool_call"
_BLOCK = re.compile(rf"^{_LABEL}\n(\{{[^\n]*\}})\n```\n?", re.MULTILINE)
_TAGGED = re.compile(
    r"<(?P<tag>tool_calls?|function_call|tools)>(?P<call>.*?)(?:</(?P=tag)>\n?|\Z)", re.DOTALL
)
_PYTHON_TAG = re.compile(r"<\|python_tag\|>(?P<call>.*?)(?:<\|eo[mt]_id\|>|\Z)", re.DOTALL)
_FUNCTION = re.compile(r"<function=(?P<name>[\w.]+)>(?P<parameters>.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=(\w+)>\n?(.*?)\n?(?:</parameter>|\Z)", re.DOTALL)
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


def call_text(name: str, arguments: str) -> str:
    """Return a call as a block of text that begins on its own line."""
    call = ToolCall(name=name.strip() or PYTHON, arguments=arguments)
    code = _program(call)
    if code is not None:
        return fenced_call(code)
    written = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
    return f"{_LABEL}\n{written}\n```\n"


def fenced_call(code: str) -> str:
    """Return a program as a block of text that begins on its own line.

    A line of the program that is a fence (inside a string) gets a space before it: otherwise it would end the block.
    """
    lines = (f" {line}" if line.startswith("```") else line for line in code.strip("\n").split("\n"))
    return "```python\n" + "\n".join(lines) + "\n```\n"


def with_calls(text: str, calls: Sequence[ToolCall], *, cut: bool) -> str:
    """Return the text of a completion followed by each of its calls as a block; those that don't run come first.

    If the token limit `cut` the last call short, its block is left open, so that it isn't run.
    """
    if not calls:
        return text
    lead = text if not text or text.endswith("\n") else f"{text}\n"
    whole = calls[:-1] if cut else calls
    blocks = sorted((call_text(call.name, call.arguments) for call in whole), key=_runs)
    if cut:
        blocks.append(fenced_call(calls[-1].arguments).removesuffix("```\n"))
    return lead + "".join(blocks)


def without_calls(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """Return the text without the calls that don't run, and these."""
    blocks = [block for block in _BLOCK.finditer(text) if _is_ours(block[1])]
    for block in reversed(blocks):
        text = text[: block.start()] + text[block.end() :]
    return text, tuple(ToolCall(**json.loads(block[1])) for block in blocks)


def error_of(call: ToolCall) -> str:
    """Return the answer to a call that can't be run."""
    if not _KNOWN.fullmatch(call.name):
        return f"unknown tool `{call.name}`; there is only {PYTHON}(code)"
    return f'the arguments of {PYTHON} could not be read; send a JSON object with the whole program: {{"code": "…"}}'


def unreadable_call(transcript: Transcript) -> str | None:
    """Return why calls of the last turn were not run; None if there were none of that kind."""
    turn = transcript.turns[-1] if transcript.turns else ()
    calls = [call for s in turn if s.kind is Kind.RATIONALE for call in without_calls(s.text)[1]]
    return "; ".join(map(error_of, calls)) or None


def with_calls_read(text: str, *, has_tool: bool) -> str:
    """Return a completion with the calls that stand in its text, for want of a parser in the server, as blocks.

    Only where the model `has_tool` can plain JSON be a call.
    """
    for tag in (_TAGGED, _PYTHON_TAG) if has_tool else (_TAGGED,):
        text = tag.sub(lambda tagged: _on_own_line(tagged, _read(tagged["call"].strip())), text)
    if has_tool and text.lstrip().startswith("{"):
        text = call_in(text.strip()) or text
    if "<function=" in text:
        text = _FUNCTION.sub(lambda found: _on_own_line(found, _call_of(found)), text)
    return _BLOCK.sub(_reread, text)


def unfenced(code: str) -> str:
    """Return the program inside a Markdown fence, or `code` as it is: no Python program begins with a fence."""
    found = _FENCED.fullmatch(code.strip())
    return found["inside"] if found else code


def program_of(arguments: str) -> str | None:
    """Return the program in the arguments of a call of `python`; None if they can't be read with certainty."""
    text = unfenced(arguments).strip()
    code = _code_in(_value(text))
    if code is None:
        code = _loose_program(text)
    if code is None and text[:1] not in ("{", "[", '"') and computes(text):
        code = text
    return None if code is None or not code.strip() else unfenced(code)


def _program(call: ToolCall) -> str | None:
    return program_of(call.arguments) if _KNOWN.fullmatch(call.name) else None


def _runs(block: str) -> bool:
    return not block.startswith(_LABEL)


def _is_ours(written: str) -> bool:
    """Tell whether a block was written by `call_text`."""
    try:
        call = json.loads(written)
    except (ValueError, RecursionError):
        return False
    return call.keys() == {"name", "arguments"} and all(isinstance(value, str) for value in call.values())


def call_in(text: str) -> str:
    """Return the block for a call that is all of `text`, as JSON; empty if it is something else."""
    if not text.lstrip().startswith("{"):
        return ""
    value = _value(text.strip())
    calls = isinstance(value, dict) and isinstance(value.get("name"), str) and bool(value.keys() & _WRAPPERS)
    return _read(text.strip()) if calls else ""


def _on_own_line(found: re.Match[str], block: str) -> str:
    return f"\n{block}" if found.start() else block


def _reread(block: re.Match[str]) -> str:
    """Return the block for a call in a block, which stays as it is if the client wrote it."""
    ours = _is_ours(block[1]) and _program(ToolCall(**json.loads(block[1]))) is None
    return block[0] if ours else _read(block[1])


def _read(written: str) -> str:
    """Return the block for a call that a model wrote as text."""
    if function := _FUNCTION.fullmatch(written):
        return _call_of(function)
    value = _value(written)
    if not isinstance(value, dict) or not isinstance(name := value.get("name"), str):
        return call_text(PYTHON, written)
    given: Any = next((value[key] for key in _WRAPPERS if key in value), {})
    if isinstance(given, str):
        return call_text(name, "".join(map(_as_json_says, given)))
    return call_text(name, _plain(json.dumps(given, ensure_ascii=False)))


def _call_of(function: re.Match[str]) -> str:
    parameters = dict(_PARAMETER.findall(function["parameters"]))
    return call_text(function["name"], json.dumps(parameters, ensure_ascii=False))


def _value(text: str) -> Any:
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
        inner = _plain(value).strip()
        if inner[:1] == "{":  # JSON within JSON
            return _code_in(_value(inner))
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
        for name in _WRAPPERS:
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


def _plain(value: str) -> str:
    """Return a string with each mark as the JSON escape that it was."""
    return "".join(_ESCAPE_OF.get(char, char) for char in value)


def _resolved(value: str) -> str:
    """Return a program with its marks resolved by where they stand; see the module's docstring."""
    value = value.replace(_MARKS["r"] + _MARKS["n"], _MARKS["n"])
    code = "".join(_pieces(value))
    if parses(code) or not any(mark in value for mark in _ESCAPE_OF):
        return code
    return "".join(_as_json_says(char) for char in value)  # its error is easier to read in lines


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
    return _as_json_says(mark)


def _as_json_says(char: str) -> str:
    escape = _ESCAPE_OF.get(char, char)
    return {r"\n": "\n", r"\r": "\n", r"\t": "\t"}.get(escape, escape)
