"""Check machines where a layer of isolation can't be had: programs run as confined as was asked for, or not at all.

The layers go missing as they do out there: their system calls are refused (`without.py`), in a process of its own for
every case. The default run has every case as one of the users, root or an ordinary one; the same as the other user, and
further levels asked for by name, are slow tests.
"""

import os
import subprocess
import sys
import tempfile
from functools import cache
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
    """Run `mumath-agent python` on three cells, on a machine that lacks `layers`."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o777)
        done = subprocess.run(
            [sys.executable, WITHOUT, layers, str(uid), *COMMAND, *options],
            input=PROBE,
            capture_output=True,
            env={**os.environ, "TMPDIR": directory},
            cwd="/",
        )
        assert not list(Path(directory).glob("mumath-*"))
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


OURSELVES, ORDINARY = "ourselves", "ordinary user"


def uid_of(user: str) -> int:
    """Return our own id, or where we are root an ordinary user's; skip where that user can't run this."""
    if user == OURSELVES:
        return os.getuid()
    if not _another_user_can_run_this():
        pytest.skip("can't run this installation as another user")
    return NOBODY


@cache
def _another_user_can_run_this() -> bool:
    imports = (sys.executable, WITHOUT, "", str(NOBODY), sys.executable, "-c", "import mumath_agent.cli")
    return os.getuid() == 0 and subprocess.run(imports, cwd="/", capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("missing", "level", "user"),
    [
        pytest.param("", "full", ORDINARY, marks=pytest.mark.slow),  # test_attacks.py has it by day
        ("namespaces", "landlock+seccomp", OURSELVES),
        ("landlock", "namespaces+seccomp", ORDINARY),
        ("landlock-disabled", "namespaces+seccomp", OURSELVES),
        pytest.param("", "full", OURSELVES, marks=pytest.mark.slow),
        pytest.param("namespaces", "landlock+seccomp", ORDINARY, marks=pytest.mark.slow),
        pytest.param("landlock", "namespaces+seccomp", OURSELVES, marks=pytest.mark.slow),
        pytest.param("landlock-disabled", "namespaces+seccomp", ORDINARY, marks=pytest.mark.slow),
    ],
)
def test_where_one_layer_is_missing_the_others_confine(missing: str, level: str, user: str) -> None:
    ended = without(missing, uid=uid_of(user))
    first, *errors = ended.stderr.splitlines()
    assert first == f"isolation: {level}"
    assert "cell 1: line 2: socket.socket()" in errors
    assert "PermissionError: [Errno 1] Operation not permitted" in errors
    assert "cell 2: line 1: open('/etc/passwd')" in errors
    assert (ended.code, ended.stdout) == (1, "3\n")


@pytest.mark.parametrize(
    ("missing", "told", "user"),
    [
        ("seccomp", ["seccomp"], ORDINARY),
        pytest.param("namespaces,landlock", ["namespaces", "landlock"], OURSELVES, marks=pytest.mark.slow),
        ("namespaces,landlock,seccomp", ["namespaces", "landlock"], ORDINARY),  # already too much
        pytest.param("seccomp", ["seccomp"], OURSELVES, marks=pytest.mark.slow),
        pytest.param("namespaces,landlock", ["namespaces", "landlock"], ORDINARY, marks=pytest.mark.slow),
        pytest.param(
            "namespaces,landlock,seccomp", ["namespaces", "landlock"], OURSELVES, marks=pytest.mark.slow
        ),
    ],
)
def test_nothing_runs_where_too_much_is_missing(missing: str, told: list[str], user: str) -> None:
    ended = without(missing, uid=uid_of(user))
    assert (ended.code, ended.stdout) == (3, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: this machine can't confine model-written programs: no ")
    assert all(f"{layer} (" in line for layer in told)
    assert line.endswith("say --unsafe-local")


@pytest.mark.parametrize(
    ("missing", "level"),
    [
        ("namespaces,landlock,seccomp", "rlimits-only"),
        pytest.param("seccomp", "namespaces+landlock", marks=pytest.mark.slow),
        pytest.param("namespaces,landlock", "seccomp", marks=pytest.mark.slow),
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
        ("seccomp", "full"),
        ("landlock", "landlock+seccomp"),
        ("rlimits", "rlimits-only"),
        pytest.param("namespaces", "full", marks=pytest.mark.slow),
        pytest.param("landlock", "full", marks=pytest.mark.slow),
        pytest.param("rlimits", "full", marks=pytest.mark.slow),
        pytest.param("namespaces", "namespaces+seccomp", marks=pytest.mark.slow),
    ],
)
def test_a_level_that_was_asked_for_by_name_is_had_or_nothing_runs(missing: str, level: str) -> None:
    ended = without(missing, "--level", level, *["--unsafe-local"] * (level == "rlimits-only"))
    assert (ended.code, ended.stdout) == (3, "")
    error = [line for line in ended.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(error) == 1
    assert error[0].startswith("error: ")
    assert "Traceback" not in ended.stderr


def test_nothing_runs_without_limits_unless_that_was_allowed() -> None:
    ended = without("rlimits")
    assert (ended.code, ended.stdout) == (3, "")
    assert ended.stderr.startswith("error: ")
