"""Make PNG images, good and bad ones."""

import struct
import zlib


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int = 2,
    height: int = 2,
    *,
    depth: int = 8,
    colour: int = 6,
    interlaced: int = 0,
    rows: bytes | None = None,
) -> bytes:
    unpacked = bytes(height * (1 + width * 4)) if rows is None else rows
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(unpacked)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
