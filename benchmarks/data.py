"""Say where benchmark files lie unless the user names a folder, and which bytes a file has."""

import hashlib
import os
from pathlib import Path

DATA = Path(os.environ.get("MUMATH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""MUMATH_DATA, else `shared/data` beside the checkout."""


def digest(data: bytes) -> str:
    """Return the SHA-256 that names these bytes in manifests and reports."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
