"""Check that what a program calls a figure is a PNG image of bounded size, before anything else looks at it."""

import base64
import binascii
import struct
import zlib
from typing import NamedTuple

MAX_FIGURE_CHARS = 4 << 20
MAX_PIXELS_BYTES, MAX_SIDE = 32 << 20, 16_384
"""How large an image may be when it is unpacked; a small file can stand for a huge one."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""How many samples a pixel has, by colour type."""
_PORTION = 1 << 16


class Png(NamedTuple):
    """An image that was checked."""

    text: str
    """It, in base64 without line ends."""
    unpacked_bytes: int


def as_png(text: str, max_bytes: int = MAX_PIXELS_BYTES) -> Png | None:
    """Check a PNG image, given in base64; return None if it isn't one, or takes more than `max_bytes` unpacked.

    Its chunks and checksums are read, and its pixels unpacked once, by portions, to see that they are all there.
    """
    if len(text) > MAX_FIGURE_CHARS or not text.isascii():
        return None
    plain = text.replace("\n", "")
    try:
        data = base64.b64decode(plain, validate=True)
        header, pixels = _chunks(data)
        size = _raw_size(header, min(max_bytes, MAX_PIXELS_BYTES))
        return Png(plain, size) if _unpacks(pixels, size, exact=header[12] == 0) else None
    except (binascii.Error, struct.error, zlib.error, ValueError, KeyError, IndexError):
        return None


def _chunks(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return the header and the compressed parts of an image that is whole: nothing before it, nothing after it."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("no signature")
    header, pixels = b"", []
    position = len(_SIGNATURE)
    while True:
        size, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + size]
        (check,) = struct.unpack_from(">I", data, position + 8 + size)
        if zlib.crc32(body, zlib.crc32(kind)) != check or (kind == b"IHDR") != (position == len(_SIGNATURE)):
            raise ValueError("a chunk is broken")
        position += 12 + size
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            pixels.append(body)
        elif kind == b"IEND":
            break
    if len(header) != 13 or position != len(data):
        raise ValueError("something is missing, or follows")
    return header, pixels


def _raw_size(header: bytes, max_bytes: int) -> int:
    """Return how many bytes the rows of an image take, each with its filter."""
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", header)
    size: int = height * (1 + (width * depth * _SAMPLES[colour] + 7) // 8)
    sides_fit = 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE
    if depth not in (1, 2, 4, 8, 16) or not sides_fit or size > max_bytes:
        raise ValueError("too large")
    return size


def _unpacks(pixels: list[bytes], size: int, *, exact: bool) -> bool:
    """Tell whether the compressed parts unpack to `size` bytes; interlaced rows (not `exact`) take a few more."""
    unpacker = zlib.decompressobj()
    left = size if exact else 2 * size + 64
    for part in pixels:
        while part and left >= 0:
            left -= len(unpacker.decompress(part, _PORTION))
            part = unpacker.unconsumed_tail
    return unpacker.eof and not unpacker.unused_data and (left == 0 if exact else left >= 0)
