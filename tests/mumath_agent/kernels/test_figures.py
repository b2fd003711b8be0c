"""Check what passes for a figure: whole PNG images of bounded size."""

import base64

import pytest
from images import chunk, png

from mumath_agent.kernels.figures import Png, as_png

GOOD = {
    "small": png(),
    "with a text": png()[:33] + chunk(b"tEXt", b"Software\0matplotlib") + png()[33:],
    "grey": png(colour=0, rows=bytes(6)),
    "one bit": png(9, 1, depth=1, colour=0, rows=bytes(3)),
    "sixteen bits": png(1, 1, depth=16, rows=bytes(9)),
    "interlaced": png(2, 2, interlaced=1, rows=bytes(20)),
    "of a printer": png(3000, 2400),
}
SCRIPT = b"<script>alert(1)</script>"
BAD = {
    "a script": SCRIPT,
    "a script with a signature": b"\x89PNG\r\n\x1a\n" + SCRIPT,
    "a script for pixels": b"\x89PNG\r\n\x1a\n" + png()[8:33] + chunk(b"IDAT", SCRIPT) + chunk(b"IEND", b""),
    "a script after it": png() + SCRIPT,
    "a script before it": SCRIPT + png(),
    "a picture of another kind": b"GIF89a" + bytes(20),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "nothing": b"",
    "a signature": b"\x89PNG\r\n\x1a\n",
    "half of it": png()[:40],
    "no pixels": png()[:33] + chunk(b"IEND", b""),
    "no end": png()[:-12],
    "a wrong checksum": png()[:-1] + b"x",
    "two headers": png()[:33] + png()[8:],
    "too few rows": png(rows=bytes(3)),
    "too many rows": png(rows=bytes(1000)),
    "no width": png(0, 2, rows=bytes(2)),
    "huge sides": png(1 << 31, 1, rows=b""),
    "a bomb that says so": png(10_000, 10_000, rows=bytes(1 << 20)),
    "a bomb that doesn't": png(2, 2, rows=bytes(64 << 20)),
    "an interlaced bomb": png(2, 2, interlaced=1, rows=bytes(64 << 20)),
    "an unknown colour": png(colour=5),
    "a chunk of 4 GB": b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffIHDR" + bytes(100),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD.keys())
def test_a_png_image_is_a_figure(data: bytes) -> None:
    plain = base64.b64encode(data).decode()
    found = as_png(plain)
    assert found is not None
    assert (
        found
        == as_png(base64.encodebytes(data).decode(), found.unpacked_bytes)
        == Png(plain, found.unpacked_bytes)
    )
    assert as_png(plain, found.unpacked_bytes - 1) is None


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_nothing_else_is(data: bytes) -> None:
    assert as_png(base64.b64encode(data).decode()) is None


@pytest.mark.parametrize(
    "text", ["<script>", "../../etc/passwd", "é", "iVBO Rw0K", "=", "\x00", "data:image/png;base64,"]
)
def test_what_is_not_base64_is_none(text: str) -> None:
    assert as_png(text) is None
