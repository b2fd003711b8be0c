"""Serve a GGUF model with llama.cpp, in this process: `python engine.py SETTINGS`, where SETTINGS is a JSON object.

It is started by `model.py`, which waits until it answers, and ends with the process that started it, even if that is
killed. Nothing of ours is imported. The key that clients must send comes in the environment, where other users can't
read it.
"""

import json
import os
import sys
import time

SERVING = "serving at "
"""What it prints once the model is loaded, before its address."""
KEY, LAUNCHER = "MUMATH_LOCAL_KEY", "MUMATH_LOCAL_LAUNCHER"
_WATCH_S = 0.5


def main() -> int:
    """Load the model and serve it until the process that started this one is gone."""
    settings = json.loads(sys.argv[1])
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path = settings["path"]
    wanted.model_alias = {settings["name"]}
    wanted.api_keys = [os.environ.pop(KEY)]
    wanted.n_parallel = settings["slots"]
    wanted.n_ctx = settings["slots"] * settings["context_tokens"]  # shared out evenly
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = settings["threads"]
    wanted.ui = False
    wanted.cache_ram_mib = 0  # prompts of other attempts are of no use
    try:
        server = xllamacpp.Server(wanted)
    except RuntimeError as error:
        print(f"RuntimeError: llama.cpp can't load the model: {error}", flush=True)
        return 1
    # One write, on a line of its own: llama.cpp's threads write to the same log.
    os.write(1, f"\n{SERVING}{server.listening_address}\n".encode())
    while os.getppid() == int(os.environ[LAUNCHER]):
        time.sleep(_WATCH_S)
    os._exit(0)  # llama.cpp would wait for requests that no one awaits


if __name__ == "__main__":
    sys.exit(main())
