"""Machines where a layer of isolation can't be had: programs run as confined as was asked for, or not at all.

The layers go missing as they do out there: their system calls are refused (`without.py`).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's"),
]

COMMAND = (sys.executable, "-m", "mumath_agent", "python")
WITHOUT = Path(__file__).with_name("without.py")
NOBODY = 65534
PROBE = b"import socket\nsocket.socket()\n# %%\nopen('/etc/passwd')\n# %%\nopen('f', 'w').write('abc')\n"


class Ended(NamedTuple):
    code: int
    stdout: str
    stderr: str


def without(layers: str, *options: str, uid: int = os.getuid()) -> Ended:
    """`mumath-agent python` on three cells, on a machine that lacks `layers`."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o777)
        done = subprocess.run(
            [sys.executable, WITHOUT, layers, str(uid), *COMMAND, *options],
            input=PROBE,
            capture_output=True,
            timeout=120,
            env={**os.environ, "TMPDIR": directory},
            cwd="/",
        )
        assert not list(Path(directory).glob("mumath-*"))
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(params=["ourselves", "nobody"])
def uid(request: pytest.FixtureRequest) -> int:
    """Ours, and where we are root an ordinary user's."""
    if request.param == "ourselves":
        return os.getuid()
    imports = [sys.executable, WITHOUT, "", str(NOBODY), sys.executable, "-c", "import mumath_agent.cli"]
    if os.getuid() != 0 or subprocess.run(imports, cwd="/", capture_output=True).returncode:
        pytest.skip("can't run this installation as another user")
    return NOBODY


@pytest.mark.parametrize(
    ("missing", "level"),
    [
        ("", "full"),
        ("namespaces", "landlock+seccomp"),
        ("landlock", "namespaces+seccomp"),
        ("landlock-disabled", "namespaces+seccomp"),
    ],
)
def test_where_one_layer_is_missing_the_others_confine(missing: str, level: str, uid: int) -> None:
    ended = without(missing, uid=uid)
    first, *errors = ended.stderr.splitlines()
    assert first == f"isolation: {level}"
    assert "cell 1: line 2: socket.socket()" in errors
    assert "PermissionError: [Errno 1] Operation not permitted" in errors
    assert "cell 2: line 1: open('/etc/passwd')" in errors
    assert (ended.code, ended.stdout) == (1, "3\n")


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("seccomp", ["seccomp"]),
        ("namespaces,landlock", ["namespaces", "landlock"]),
        ("namespaces,landlock,seccomp", ["namespaces", "landlock"]),  # already too much
    ],
)
def test_nothing_runs_where_too_much_is_missing(missing: str, told: list[str], uid: int) -> None:
    ended = without(missing, uid=uid)
    assert (ended.code, ended.stdout) == (3, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: this machine can't confine model-written programs: no ")
    assert all(f"{layer} (" in line for layer in told)
    assert line.endswith("say --unsafe-local")


@pytest.mark.parametrize(
    ("missing", "level"),
    [
        ("seccomp", "namespaces+landlock"),
        ("namespaces,landlock", "seccomp"),
        ("namespaces,landlock,seccomp", "rlimits-only"),
    ],
)
def test_whoever_insists_gets_what_is_left_and_is_told(missing: str, level: str) -> None:
    ended = without(missing, "--unsafe-local")
    warning, isolation, *_ = ended.stderr.splitlines()
    assert warning.startswith(f"warning: model-written programs run at isolation level '{level}'. They can ")
    assert all(f"{layer} (" in warning for layer in missing.split(","))
    assert isolation == f"isolation: {level}"
    assert ended.stdout.endswith("3\n")


@pytest.mark.parametrize(
    ("missing", "level"),
    [
        ("namespaces", "full"),
        ("landlock", "full"),
        ("seccomp", "full"),
        ("landlock", "landlock+seccomp"),
        ("namespaces", "namespaces+seccomp"),
        ("rlimits", "full"),
        ("rlimits", "rlimits-only"),
    ],
)
def test_a_level_that_was_asked_for_by_name_is_had_or_nothing_runs(missing: str, level: str) -> None:
    ended = without(missing, "--level", level, *["--unsafe-local"] * (level == "rlimits-only"))
    assert (ended.code, ended.stdout) == (3, "")
    error = [line for line in ended.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(error) == 1
    assert error[0].startswith("error: ")
    assert "Traceback" not in ended.stderr


def test_nothing_runs_without_limits_where_nobody_said_that_it_may() -> None:
    ended = without("rlimits")
    assert (ended.code, ended.stdout) == (3, "")
    assert ended.stderr.startswith("error: ")
