"""Tests say what they need: one that isn't marked for it can't start a kernel, load a model or leave this machine.

    pytest_runtest_protocol ─▶ `forbid` ─▶ an audit hook here, and `sitecustomize` in every program the test starts

What was tried is also written to a file, because a program may swallow the error; `conftest` fails the test.
"""

import os
import sys
from collections.abc import Collection
from ipaddress import ip_address
from pathlib import Path
from typing import Any

FORBIDDEN = "MUMATH_TESTS_FORBID"
"""The environment variable with what the running test isn't marked for: markers, separated by commas."""
TRIED = "MUMATH_TESTS_TRIED"
"""The environment variable with the path of the file that says what was tried."""
MARKERS = ("kernel", "model", "network", "shipped")
_IMPLIED = {"model": {"kernel", "train", "vllm"}}
"""Whoever solves problems in kernels, trains a model, or has vLLM beside it, may run the embedded engine, too."""
_KERNELS = ("mumath_agent.sandbox.guardian", "ipykernel_launcher")
_SHIPPED = str(Path(__file__).parents[2] / "mumath_agent" / "weights" / "embedded" / "genai_config.json")
"""What whoever loads the model that ships reads."""
_installed = False


class NotMarked(RuntimeError):
    """A test did what it isn't marked for."""


def install() -> None:
    """Watch this process from now on; what is forbidden is read from the environment each time."""
    global _installed
    if not _installed:
        sys.addaudithook(_look)
        _installed = True


def forbid(markers: Collection[str]) -> None:
    """Forbid what tests without these markers may not do, here and in programs started from here."""
    missing = [one for one in MARKERS if not {one, *_IMPLIED.get(one, ())} & set(markers)]
    os.environ[FORBIDDEN] = ",".join(missing)
    here = str(Path(__file__).parent)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", here)]
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *paths] if missing else paths)
    if not os.environ["PYTHONPATH"]:
        del os.environ["PYTHONPATH"]


def refuse(marker: str, what: str) -> None:
    """Raise and write down that a test did something without its marker, unless it has it.

    Raises:
        NotMarked: the running test isn't marked with `marker`.
    """
    if marker not in os.environ.get(FORBIDDEN, "").split(","):
        return
    message = f"this test {what}: mark it with pytest.mark.{marker}"
    with Path(os.environ[TRIED]).open("a") as file:
        file.write(message + "\n")
    raise NotMarked(message)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen":
        words = arguments[1] if isinstance(arguments[1], (list, tuple)) else [arguments[1]]
        if any(kernel in str(word) for word in words for kernel in _KERNELS):
            refuse("kernel", "starts a kernel")
    elif event == "open" and arguments[0] == _SHIPPED:
        refuse("shipped", "loads the model that ships (a second, 450 MB), where tests.toy.TOY may do")
    elif event == "socket.connect" and isinstance(arguments[1], tuple) and not _is_here(arguments[1][0]):
        refuse("network", f"connects to {arguments[1][0]}")
    elif event == "socket.getaddrinfo" and not _is_here(arguments[0]):
        refuse("network", f"looks for {arguments[0]}")


def _is_here(host: object) -> bool:
    """Return whether an address or a name is this machine's own, as far as its text says."""
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or name in ("", "localhost", os.uname().nodename):
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
