"""Where benchmark files lie unless the user says otherwise."""

import os
from pathlib import Path

DATA = Path(os.environ.get("MUMATH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""MUMATH_DATA, else `shared/data` beside the checkout."""
