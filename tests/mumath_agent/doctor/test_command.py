"""`mumath-agent doctor` as it is run: on a sound machine, and on machines that lack something."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.programs import mumath_agent

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform != "linux", reason="isolation is Linux's"),
]

COMMAND = (sys.executable, "-m", "mumath_agent", "doctor")
WITHOUT = Path(__file__).parents[1] / "kernels" / "without.py"
WITHOUT_A_SPEC = """import sys
prefix, sys.prefix = sys.prefix, "/no/such/prefix"
import jupyter_core.paths
sys.prefix = prefix
from mumath_agent.cli import main
sys.argv[1:] = ["doctor", "--json"]
main()"""


class Ended(NamedTuple):
    code: int
    stdout: str
    stderr: str

    @property
    def failed(self) -> list[str]:
        """Return the names of the checks that failed, by the JSON document."""
        return [
            finding["name"] for finding in json.loads(self.stdout)["findings"] if finding["status"] == "fail"
        ]


def run(command: Sequence[str | Path], cwd: Path, **environment: str) -> Ended:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MUMATH_")}
    done = subprocess.run(
        command, cwd=cwd, env=clean | environment, capture_output=True, text=True, timeout=800
    )
    assert "Traceback" not in done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def called(folder: Path, *arguments: str, **environment: str) -> Ended:
    """Call the command in this process, where what it finds about the machine isn't the point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MUMATH_MODEL", "MUMATH_BASE_URL", "MUMATH_LOCAL", "MUMATH_API_KEY"):
            patch.delenv(name, raising=False)
        return Ended(*mumath_agent("doctor", *arguments, **environment))


def test_a_sound_machine_without_a_server(tmp_path: Path) -> None:
    ended = run(COMMAND, tmp_path)
    lines = ended.stdout.splitlines()
    assert ended.code == 0, ended.stdout
    assert all(line.startswith(("ok ", "warn ", " ")) for line in lines)
    assert [line for line in lines if line.startswith("ok       kernel start")]
    assert ended.stderr.startswith("nothing failed")


def test_a_server_and_its_fault(tmp_path: Path, simulate: Callable[..., str]) -> None:
    ended = called(tmp_path, "--json", "--model", "llama", MUMATH_BASE_URL=simulate())
    assert (ended.code, ended.failed) == (1, ["model name"])
    (name,) = (one for one in json.loads(ended.stdout)["findings"] if one["name"] == "model name")
    assert name == {
        "name": "model name",
        "status": "fail",
        "detail": "the server doesn't have 'llama'; it has 'mumath'",
        "remedy": "choose one of these with --model",
    }


@pytest.mark.slow
def test_isolation_that_is_off(tmp_path: Path) -> None:
    ended = run(
        [sys.executable, WITHOUT, "namespaces,landlock", str(os.getuid()), *COMMAND, "--json"], tmp_path
    )
    assert (ended.code, ended.failed) == (1, ["isolation"])
    assert "no namespaces (" in ended.stdout and "landlock (" in ended.stdout


def test_isolation_that_lacks_a_layer(tmp_path: Path) -> None:
    ended = run([sys.executable, WITHOUT, "landlock", str(os.getuid()), *COMMAND], tmp_path)
    assert ended.code == 0
    (line,) = (line for line in ended.stdout.splitlines() if " isolation " in line)
    assert line.startswith("warn ") and " namespaces+seccomp: " in line
    assert "missing: landlock (" in line


@pytest.mark.slow
def test_a_full_disk(tmp_path: Path) -> None:
    """A file system of 1 MB, for the command alone."""
    mounted = f'mount -t tmpfs -o size=1m none {tmp_path} && cd {tmp_path} && exec "$@"'
    alone = ["unshare", "--mount", "--map-root-user", "sh", "-c", mounted, "sh"]
    if not shutil.which("unshare") or run([*alone, "true"], tmp_path).code:
        pytest.skip("no file system can be mounted here, not even in a namespace")
    ended = run([*alone, *COMMAND, "--json"], tmp_path)
    assert (ended.code, ended.failed) == (1, ["results disk"])
    assert "No space left on device" in ended.stdout


@pytest.mark.slow
def test_a_kernel_spec_that_is_missing(tmp_path: Path) -> None:
    ended = run([sys.executable, "-c", WITHOUT_A_SPEC], tmp_path, JUPYTER_DATA_DIR=str(tmp_path))
    assert (ended.code, ended.failed) == (1, ["kernel spec"])


def test_an_address_that_is_none(tmp_path: Path) -> None:
    ended = called(tmp_path, "--base-url", "localhost")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: base_url 'localhost'")
