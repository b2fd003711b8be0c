"""Start the fork server: a process that imports what programs need, once, and then forks a kernel per request.

It never runs a model's program, and it has one thread and no event loop, so forking it is sound. What it does once it
is up is in `forkserver_loop.py`; the `guardian` starts it and clears up after it.
"""

import gc
import importlib
import os
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

# Everything a kernel needs of this package is imported here: after the change of root it can't be found any more.
from mumath_agent.sandbox import namespaces
from mumath_agent.sandbox.confine import LayerError, confine, die_with_parent, needed_for
from mumath_agent.sandbox.forkserver_loop import MAX_MESSAGE_BYTES, ForkServerLoop, tell
from mumath_agent.sandbox.shell import new_shell
from mumath_agent.sandbox.spec import LANDLOCK, NAMESPACES, SECCOMP, WORK, KernelSpec, ServerSpec

CHECK = KernelSpec(key="", channels=[], work="/", memory_mb=1024, work_mb=1, max_output_chars=1)


def serve(control: socket.socket, spec: ServerSpec, *, was_root: bool) -> NoReturn:
    """Get ready, say so, and serve the agent at the other end of `control`."""
    try:
        if sys.platform == "linux":
            die_with_parent()
        if NAMESPACES in spec.layers:
            with needed_for(NAMESPACES):
                namespaces.leave_host(spec.runtime, spec.libraries, was_root=was_root)
            die_with_parent()  # becoming another user has cleared it
            os.environ |= dict.fromkeys(("HOME", "TMPDIR", "IPYTHONDIR"), WORK)
        check(spec)
        prepare(spec)
    except BaseException as error:
        traceback.print_exc()
        tell(control, {"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    ForkServerLoop(control, spec).serve()


def check(spec: ServerSpec) -> None:
    """Have a child give up its rights and then try what it must not be able to do.

    Raises:
        LayerError: it failed to give them up, or something was still possible.
    """
    if not {LANDLOCK, SECCOMP} & set(spec.layers):
        return
    report, reported = os.pipe()
    if (child := os.fork()) == 0:
        os.close(report)
        os.write(reported, _attempt(spec).encode())
        os._exit(0)
    os.close(reported)
    os.waitpid(child, 0)
    problem = os.read(report, MAX_MESSAGE_BYTES).decode()
    os.close(report)
    if problem != "confined":
        layer, _, reason = problem.partition(":")
        raise LayerError(layer, reason or "a confined process died at once")


def _attempt(spec: ServerSpec) -> str:
    """Return "confined", or else "LAYER:REASON"."""
    try:
        listener = confine(spec, replace(CHECK, work=spec.runtime))
        if listener is not None:
            os.close(listener)  # without a supervisor, calls that need permission are refused
    except LayerError as error:
        return f"{error.layer}:{error.reason}"
    except OSError as error:
        return f":{error}"
    forbidden: list[tuple[str, str, Callable[[], Any]]] = []
    if LANDLOCK in spec.layers:
        forbidden.append((LANDLOCK, "the root directory could be listed", lambda: list(Path("/").iterdir())))
    if SECCOMP in spec.layers:
        forbidden.append((SECCOMP, "a socket could be opened", socket.socket))
        forbidden.append((SECCOMP, "a program could be run", lambda: os.execv("/nonexistent", ["x"])))
    for layer, problem, attempt in forbidden:
        try:
            attempt()
        except PermissionError:
            continue
        except OSError:
            pass
        return f"{layer}:although it was set up, {problem}"
    return "confined"


def prepare(spec: ServerSpec) -> None:
    """Import everything kernels need, so that they share its memory."""
    for module in spec.preload:
        with suppress(ImportError):
            importlib.import_module(module)
    sys.path[:] = [path for path in sys.path if path in spec.libraries or _within(path, spec.libraries)]
    new_shell()
    gc.collect()
    gc.freeze()


def _within(path: str, directories: list[str]) -> bool:
    return any(Path(path).is_relative_to(directory) for directory in directories)
