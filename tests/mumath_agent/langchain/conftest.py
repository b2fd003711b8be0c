"""The scripted chat model of the examples plays the agents' part here, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "examples"))
