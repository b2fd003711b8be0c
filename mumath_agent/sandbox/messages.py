"""Write and read Jupyter's messages: a signed header, parent, metadata and content, each a frame of JSON.

Source: jupyter-client.readthedocs.io, "Messaging in Jupyter", protocol 5.4. Both sides of our kernels use this, and
jupyter_client's `Session` understands it.
"""

import hmac
import itertools
import json
import re
import secrets
from datetime import UTC, datetime
from typing import Any

Message = dict[str, Any]
"""A dictionary with the keys header, parent_header, metadata and content."""

PROTOCOL = "5.4"
_DELIMITER = b"<IDS|MSG>"
_PARTS = ("header", "parent_header", "metadata", "content")
MAX_PARTS, MAX_DEPTH = 10_000, 100
"""How many values a message may have, and how deep they may be nested. A small text can stand for huge objects."""
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_NESTED = re.compile(rb"[\[{]|[\]}]")


class Signer:
    """Packs and unpacks the messages of one connection."""

    def __init__(self, key: str, username: str) -> None:
        """Sign with `key`, which both sides share; `username` is who the messages are from."""
        self._hmac = hmac.new(key.encode(), digestmod="sha256")
        self._session = secrets.token_hex(8)
        self._numbers = itertools.count()
        self._username = username

    def header(self, kind: str) -> Message:
        """Return the header of a new message of type `kind`."""
        return {
            "msg_id": f"{self._session}_{next(self._numbers)}",
            "session": self._session,
            "username": self._username,
            "date": datetime.now(UTC).isoformat(),
            "msg_type": kind,
            "version": PROTOCOL,
        }

    def pack(self, header: Message, content: Message, parent: Message | None = None) -> list[bytes]:
        """Return the frames of a message; `parent` is the header of the request it answers."""
        parts = [json.dumps(part).encode() for part in (header, parent or {}, {}, content)]
        return [_DELIMITER, self._signature(parts), *parts]

    def unpack(self, frames: list[bytes]) -> Message:
        """Return the message in `frames`; an address before it is skipped.

        Raises:
            ValueError: there is no message, or it isn't signed with our key.
        """
        start = frames.index(_DELIMITER) + 1
        signature, *parts = frames[start : start + 5]
        if len(parts) != len(_PARTS) or not hmac.compare_digest(signature, self._signature(parts)):
            raise ValueError("no message signed with our key")
        message = {name: _value(part) for name, part in zip(_PARTS, parts, strict=True)}
        if not all(isinstance(part, dict) for part in message.values()):
            raise ValueError("a message without header or content")
        return message

    def _signature(self, parts: list[bytes]) -> bytes:
        digest = self._hmac.copy()
        for part in parts:
            digest.update(part)
        return digest.hexdigest().encode()


def _value(text: bytes) -> Any:
    """Read a part of a message, unless it stands for more objects than any message has.

    Raises:
        ValueError: it does, or it isn't JSON.
    """
    if _commas_and_brackets(text) > MAX_DEPTH:  # most of them may stand in strings
        bare = _without_strings(text)
        if _commas_and_brackets(bare) > MAX_PARTS or _depth(bare) > MAX_DEPTH:
            raise ValueError("a message of too many parts")
    return json.loads(text)


def _without_strings(text: bytes) -> bytes:
    gaps: list[bytes] = []
    end = 0
    for string in _STRING.finditer(text):
        gaps.append(text[end : string.start()])
        end = string.end()
        if len(gaps) > 2 * MAX_PARTS:
            raise ValueError("a message of too many parts")
    return b"".join(gaps) + text[end:]


def _commas_and_brackets(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _depth(text: bytes) -> int:
    """Return how deep brackets are nested in a text without strings; it has at most `MAX_PARTS` opening ones."""
    depth = deepest = 0
    for bracket in _NESTED.findall(text):
        depth = depth + 1 if bracket in b"[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest
