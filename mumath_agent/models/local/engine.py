"""Serve a GGUF model with llama.cpp, in this process: `python engine.py SETTINGS`, where SETTINGS is a JSON object.

It is started by `model.py`, which waits until it answers, and ends with the process that started it, even if that is
killed while the model is being loaded. Nothing of ours is imported. The key that clients must send comes in the
environment, where other users can't read it.
"""

import json
import os
import sys
import time
from shutil import rmtree
from threading import Thread

SERVING = "serving at "
"""What it prints once the model is loaded, before its address."""
KEY, LAUNCHER = "MUMATH_LOCAL_KEY", "MUMATH_LOCAL_LAUNCHER"
_WATCH_S = 0.5


def main() -> int:
    """Load the model and serve it until the process that started this one is gone."""
    settings = json.loads(sys.argv[1])
    key = os.environ.pop(KEY)
    watch = Thread(target=_end_with, args=(int(os.environ[LAUNCHER]), settings["folder"]), daemon=True)
    watch.start()
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path = settings["path"]
    wanted.model_alias = {settings["name"]}
    wanted.hostnames, wanted.port = [settings["host"]], settings["port"]
    wanted.api_keys = [key] if key else []
    wanted.n_parallel = settings["slots"]
    wanted.n_ctx = settings["slots"] * settings["context_tokens"]  # shared out evenly
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = settings["threads"]
    wanted.ui = False
    wanted.cache_ram_mib = 0  # prompts of other attempts are of no use
    try:
        server = xllamacpp.Server(wanted)
    except (RuntimeError, MemoryError) as error:
        print(f"{type(error).__name__}: llama.cpp can't serve the model: {error}", flush=True)
        return 1
    # One write, on a line of its own: llama.cpp's threads write to the same log.
    os.write(1, f"\n{SERVING}{server.listening_address}\n".encode())
    watch.join()
    return 0


def _end_with(launcher: int, folder: str) -> None:
    """End this process when its parent is another one than `launcher`, and remove the folder of its log."""
    while os.getppid() == launcher:
        time.sleep(_WATCH_S)
    rmtree(folder, ignore_errors=True)
    os._exit(0)  # llama.cpp would wait for requests that no one awaits


if __name__ == "__main__":
    sys.exit(main())
