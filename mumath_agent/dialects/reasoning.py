r"""Separate what a model thought from what it said.

Models think in tags, in the channels of gpt-oss, or in a field of their own, which the client writes in tags. Whatever
the spelling, a transcript has it in one, at the head of the turn:

    <think>
    {reasoning}
    </think>
    {rationale}

It is shown and sent back, and never read for a program or an answer.
"""

import re

from mumath_agent.dialects.calls import call_text
from mumath_agent.dialects.fenced import harmless

OPEN, CLOSE = "<think>\n", "\n</think>\n"
_WORD = r"(?:seed:)?(?:think|thinking|thought|reasoning)"
_TAG = re.compile(rf"(?P<open><{_WORD}>|\[THINK\])|</{_WORD}>|\[/THINK\]", re.IGNORECASE)
_HEAD = re.compile(rf"\A{OPEN}(.*?){CLOSE}", re.DOTALL)
_CHANNEL = re.compile(
    r"(?:<\|start\|>[^<]*)?<\|channel\|>(?P<channel>\w+)(?P<to>(?:\W[^<]*)?)(?:<\|constrain\|>\s*\w+\s*)?<\|message\|>"
    r"(?P<said>.*?)(?:<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)|\Z)",
    re.DOTALL,
)
_RECIPIENT = re.compile(r"\bto=([\w.]+)")
_BARE_CHANNELS = re.compile(r"\s*analysis(?P<thought>.*?)assistant\s*final(?P<said>.*)", re.DOTALL)
"""The same where the server left out the special tokens."""


def without_reasoning(text: str) -> tuple[str, str]:
    """Return what a completion thought and what it said.

    A tag that was opened in the prompt, or is never closed, counts as well.
    """
    if "<|channel|>" in text:
        text = _without_channels(text)
    elif bare := _BARE_CHANNELS.fullmatch(text):
        return bare["thought"].strip(), bare["said"]
    tags = [tag for tag in _TAG.finditer(text) if not tag["open"] or _begins_line(text, tag.start())]
    thinks, start = bool(tags) and not tags[0]["open"], 0
    thought, said = list[str](), list[str]()
    for tag in tags:
        (thought if thinks else said).append(text[start : tag.start()])
        thinks, start = bool(tag["open"]), tag.end()
    (thought if thinks else said).append(text[start:])
    return "\n\n".join(filter(None, map(str.strip, thought))), "".join(said).lstrip("\r\n" if tags else "")


def with_reasoning(thought: str, said: str) -> str:
    """Return a turn's text: what the model thought, in tags and harmless, and what it said."""
    if not thought.strip():
        return said
    return OPEN + _harmless(thought.strip("\n")) + CLOSE + said.lstrip("\r\n")


def thoughts_so_far(thought: str) -> str:
    """Return the beginning of `with_reasoning` that stays the same whatever the model thinks next."""
    lines = thought.strip("\n") if thought.endswith("\n") else thought.lstrip("\n").rpartition("\n")[0]
    return OPEN + _harmless(lines.rstrip("\n")) if lines.strip() else ""


def split_turn(text: str) -> tuple[str, str]:
    """Return what `with_reasoning` put together."""
    head = _HEAD.match(text)
    return (head[1], text[head.end() :]) if head else ("", text)


def _harmless(thought: str) -> str:
    """Return thoughts without a tag, a fence or a special token that could count."""
    return harmless(_TAG.sub(lambda tag: f"{tag.group()[0]} {tag.group()[1:]}", thought))


def _begins_line(text: str, position: int) -> bool:
    while position and text[position - 1] != "\n" and text[position - 1].isspace():
        position -= 1
    return not position or text[position - 1] == "\n"


def _without_channels(text: str) -> str:
    """Return gpt-oss's channels as text: its analysis in tags, its calls as blocks, and what it said."""
    parts = list[str]()
    for part in _CHANNEL.finditer(text):
        recipient = _RECIPIENT.search(part["to"])
        if recipient:
            parts.append(call_text(recipient[1], part["said"]))
        elif part["channel"] == "analysis":
            parts.append(OPEN + part["said"] + CLOSE)
        else:
            parts.append(part["said"] + "\n")
    begun = _CHANNEL.search(text)
    return (text[: begun.start()] if begun else text) + "".join(parts)
