r"""Read the calls of the tool `python`, as models really write them, and write each as a block of text.

python(code)                    ```python block, which runs
another tool, or unreadable     ```tool_call block with the call as JSON, which doesn't run: it is answered
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from mumath_agent.dialects.arguments import WRAPPERS, as_json_says, plain_json, program_of, value_of
from mumath_agent.protocols import ToolCall
from mumath_agent.transcript import Kind, Transcript

PYTHON = "python"
_KNOWN = re.compile(r"(?:functions\.)?python(?:<\|.*)?", re.IGNORECASE | re.DOTALL)
_LABEL = "```tool_call"
_BLOCK = re.compile(rf"^{_LABEL}\n(\{{[^\n]*\}})\n```\n?", re.MULTILINE)
_TAGGED = re.compile(
    r"<(?P<tag>tool_calls?|function_call|tools)>(?P<call>.*?)(?:</(?P=tag)>\n?|\Z)", re.DOTALL
)
_PYTHON_TAG = re.compile(r"<\|python_tag\|>(?P<call>.*?)(?:<\|eo[mt]_id\|>|\Z)", re.DOTALL)
_FUNCTION = re.compile(r"<function=(?P<name>[\w.]+)>(?P<parameters>.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=(\w+)>\n?(.*?)\n?(?:</parameter>|\Z)", re.DOTALL)


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
    value = value_of(text.strip())
    calls = (
        isinstance(value, dict) and isinstance(value.get("name"), str) and bool(value.keys() & set(WRAPPERS))
    )
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
    value = value_of(written)
    if not isinstance(value, dict) or not isinstance(name := value.get("name"), str):
        return call_text(PYTHON, written)
    given: Any = next((value[key] for key in WRAPPERS if key in value), {})
    if isinstance(given, str):
        return call_text(name, "".join(map(as_json_says, given)))
    return call_text(name, plain_json(json.dumps(given, ensure_ascii=False)))


def _call_of(function: re.Match[str]) -> str:
    parameters = dict(_PARAMETER.findall(function["parameters"]))
    return call_text(function["name"], json.dumps(parameters, ensure_ascii=False))
