"""Let the tests of every folder import `command_line` and `waiting`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
