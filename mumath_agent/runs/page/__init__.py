"""Show attempts in HTML pages that load nothing: the parts that all our pages have in common.

    record ─ turns ──▶ JSON island ┐
    transcript.css, transcript.js ─┴─▶ one page

`benchmarks report --html`, a shared solution (`share`) and `mumath-agent web` draw turns with this style and script.
Whatever a model wrote is data: it reaches a page as JSON, and the script shows it as text nodes only.
"""

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent
"""Where the files are that pages are made of."""


def asset(name: str) -> str:
    """Return one of the text files that pages are made of."""
    return (FOLDER / name).read_text(encoding="utf-8")


def island(value: object) -> str:
    """Return JSON in which no HTML parser finds an end tag or a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def policy(style: str, *scripts: str) -> str:
    """Return a content security policy that names the one style and the scripts by hash and allows no address."""
    style_hash, *script_hashes = (
        f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in (style, *scripts)
    )
    return (
        f"default-src 'none'; style-src {style_hash}; script-src {' '.join(script_hashes)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


__all__ = ["FOLDER", "asset", "island", "policy"]
