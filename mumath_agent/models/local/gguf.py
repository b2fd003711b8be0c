"""Read what a GGUF file says of its model: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

A file is: "GGUF", version, number of tensors, number of values, the named values, descriptions of the tensors, and the
tensors. Only the named values are read; of lists, such as the vocabulary, only the length.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mumath_agent.errors import InputError

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""The types of values that are numbers, by their code; the format of `struct`."""
_TEXT, _LIST = 8, 9
_MOST_VALUES, _MOST_CHARS, _MOST_ITEMS, _LARGEST = 10_000, 1 << 24, 1 << 22, 1 << 40
"""More named values, characters of a text, items of a list, or a larger number of a model are in no real file."""
_KV_BYTES = 2
"""Of a number in the cache of keys and values: half precision."""

Value = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufModel:
    """A GGUF file: how large it is, and the named values it begins with."""

    path: Path
    bytes: int
    values: Mapping[str, Value]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.name.removesuffix(".gguf")

    @property
    def context_tokens(self) -> int:
        """The longest text it was trained for, in tokens; 0 if the file doesn't say."""
        return self._number("context_length")

    @property
    def kv_bytes_per_token(self) -> int:
        """What a token takes in the cache of keys and values, in bytes; 0 if the file doesn't say."""
        heads = self._number("attention.head_count") or 1
        width = self._number("attention.key_length") or self._number("embedding_length") // heads
        kv_heads = self._number("attention.head_count_kv") or heads
        return 2 * self._number("block_count") * kv_heads * width * _KV_BYTES

    @property
    def chats(self) -> bool:
        """Whether it has a chat template."""
        return "tokenizer.chat_template" in self.values

    def _number(self, name: str) -> int:
        value = self.values.get(f"{self.values.get('general.architecture')}.{name}", 0)
        return value if isinstance(value, int) and 0 <= value < _LARGEST else 0


def read_gguf(path: Path) -> GgufModel:
    """Read the beginning of the GGUF file at `path`.

    Raises:
        InputError: it can't be read, isn't GGUF, or ends too early.
    """
    try:
        with path.open("rb") as file:
            values = _values(file)
            return GgufModel(path=path, bytes=path.stat().st_size, values=values)
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    except RecursionError:
        raise InputError(
            f"{path} isn't a GGUF file that can be used: it has lists in lists in lists"
        ) from None
    except (ValueError, struct.error) as error:
        raise InputError(f"{path} isn't a GGUF file that can be used: {error}; download it again") from None


def _values(file: BinaryIO) -> dict[str, Value]:
    if (magic := file.read(4)) != b"GGUF":
        raise ValueError(f"it begins with {magic!r}")
    version, _, count = _unpacked(file, "IQQ")
    if version not in (2, 3):
        raise ValueError(f"its version is {version}; 2 and 3 are known")
    if count > _MOST_VALUES:
        raise ValueError(f"it claims to have {count} named values")
    found = {}
    for _ in range(count):
        name = _text(file)
        (kind,) = _unpacked(file, "I")
        found[name] = _value(file, kind)
    return found


def _value(file: BinaryIO, kind: int) -> Value:
    if kind == _TEXT:
        return _text(file)
    if kind == _LIST:
        return _passed_over(file)
    if kind not in _NUMBERS:
        raise ValueError(f"it has a value of the unknown type {kind}")
    value: Value = _unpacked(file, _NUMBERS[kind])[0]
    return value


def _passed_over(file: BinaryIO) -> int:
    """Return the length of a list after reading past it."""
    kind, length = _unpacked(file, "IQ")
    if kind in _NUMBERS:
        _skip(file, length * struct.calcsize(_NUMBERS[kind]))
        return int(length)
    if length > _MOST_ITEMS:
        raise ValueError(f"it has a list of {length} items")
    for _ in range(length):
        if kind == _TEXT:
            (chars,) = _unpacked(file, "Q")
            _skip(file, chars)
        elif kind == _LIST:
            _passed_over(file)
        else:
            raise ValueError(f"it has a list of the unknown type {kind}")
    return int(length)


def _skip(file: BinaryIO, length: int) -> None:
    if length > _LARGEST:
        raise ValueError(f"it claims to go on for {length} bytes")
    file.seek(length, 1)


def _text(file: BinaryIO) -> str:
    (length,) = _unpacked(file, "Q")
    if length > _MOST_CHARS:
        raise ValueError(f"it has a text of {length} bytes")
    return _read(file, length).decode("utf-8", "replace")


def _unpacked(file: BinaryIO, format: str) -> tuple[int, ...]:
    return struct.unpack(f"<{format}", _read(file, struct.calcsize(f"<{format}")))


def _read(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise ValueError("it ends too early")
    return data
