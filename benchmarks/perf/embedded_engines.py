"""Measure the engines that could run the embedded model, as far as they are installed, each in a fresh process.

    python benchmarks/perf/embedded_engines.py FOLDER

FOLDER is the embedded model's; openvino-genai reads an f16 GGUF of it, FOLDER/model.gguf. Where this library isn't
installed, the script measures the others: an environment may hold an engine and nothing else.
Greedy, end token ignored:

    cold    seconds from starting Python to the first token, files being in the system's cache; best of 5
    batch   seconds for 100 prompts of 60 tokens, 60 new tokens each; best of 3
    CPU     seconds of work over all threads, which other programs on the machine disturb least
"""

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 100, 60, 60
THREADS = max(1, (os.cpu_count() or 1) - 1)
Prompts = list[list[int]]
Run = Callable[[Prompts, int], None]
"""Continue each prompt by so many tokens."""


def genai(folder: Path, batch_size: int) -> Run:
    """Return a run with onnxruntime-genai, in batches."""
    og = import_module("onnxruntime_genai")
    config = og.Config(str(folder))
    config.overlay(
        f'{{"model": {{"decoder": {{"session_options": {{"intra_op_num_threads": {THREADS}}}}}}}}}'
    )
    model = og.Model(config)

    def run(prompts: Prompts, new: int) -> None:
        for start in range(0, len(prompts), batch_size):
            batch = prompts[start : start + batch_size]
            length = len(batch[0]) + new
            params = og.GeneratorParams(model)
            params.set_search_options(min_length=length, max_length=length, batch_size=len(batch))
            generator = og.Generator(model, params)
            generator.append_tokens(_array(batch, "int32"))
            while not generator.is_done():
                generator.generate_next_token()

    return run


def openvino(folder: Path) -> Run:
    """Return a run with openvino-genai, which batches by itself."""
    openvino, openvino_genai = import_module("openvino"), import_module("openvino_genai")
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.cache_size = 1
    exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "INFERENCE_NUM_THREADS": THREADS}
    pipeline = openvino_genai.ContinuousBatchingPipeline(
        str(folder / "model.gguf"), scheduler, "CPU", exact, {}
    )

    def run(prompts: Prompts, new: int) -> None:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos = new, True
        inputs = [openvino.Tensor(_array([prompt], "int64")) for prompt in prompts]
        pipeline.generate(inputs, [config] * len(inputs))

    return run


def ours(folder: Path, at_once: int) -> Run:
    """Return a run with this library's own loop over onnxruntime, in slots that are used one after the other."""
    engine = import_module("mumath_agent.models.embedded_engine").Engine(folder)

    def run(prompts: Prompts, new: int) -> None:
        for start in range(0, len(prompts), at_once):
            batch = prompts[start : start + at_once]
            nexts = [int(engine.read(slot, ids, after=0).argmax()) for slot, ids in enumerate(batch)]
            for written in range(1, new):
                lengths = [len(ids) + written for ids in batch]
                nexts = engine.step(0, nexts, lengths).argmax(-1).tolist()

    return run


ENGINES: dict[str, tuple[str, Callable[[Path], Run]]] = {
    "onnxruntime, one by one": ("mumath_agent", lambda folder: ours(folder, 1)),
    "onnxruntime, 8 at once": ("mumath_agent", lambda folder: ours(folder, 8)),
    "onnxruntime-genai, one by one": ("onnxruntime_genai", lambda folder: genai(folder, 1)),
    "onnxruntime-genai, batches of 8": ("onnxruntime_genai", lambda folder: genai(folder, 8)),
    "openvino-genai, continuous batches": ("openvino_genai", openvino),
}


def _array(rows: Prompts, kind: str) -> Any:
    return import_module("numpy").array(rows, dtype=kind)


def _measure(engine: str, folder: Path, what: str) -> None:
    """Measure, in the fresh process, and print numbers for the parent to read."""
    random.seed(0)
    prompts = [[random.randrange(10, 1000) for _ in range(PROMPT_TOKENS)] for _ in range(PROMPTS)]
    run = ENGINES[engine][1](folder)
    if what == "cold":
        run(prompts[:1], 1)
        print(time.time() - float(sys.argv[4]), time.process_time())
        return
    seconds = []
    for _ in range(3):
        started, worked = time.perf_counter(), time.process_time()
        run(prompts, NEW_TOKENS)
        seconds.append((time.perf_counter() - started, time.process_time() - worked))
    print(*min(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _fresh(engine: str, folder: Path, what: str) -> tuple[float, ...]:
    command = [sys.executable, __file__, str(folder), engine, what, str(time.time())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return tuple(float(number) for number in done.stdout.splitlines()[-1].split())


def main() -> None:
    """Measure all engines and print a table; with more arguments, measure one."""
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        return _measure(sys.argv[2], folder, sys.argv[3])
    print(f"{THREADS} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| engine | cold s | CPU s | batch s | CPU s | tokens/s | MiB |\n" + "| --- " * 7 + "|")
    for engine in (name for name, (module, _) in ENGINES.items() if find_spec(module)):
        cold = min(_fresh(engine, folder, "cold") for _ in range(5))
        seconds, work, mib = _fresh(engine, folder, "batch")
        speed = PROMPTS * NEW_TOKENS / seconds
        print(
            f"| {engine} | {cold[0]:.2f} | {cold[1]:.2f} | {seconds:.2f} | {work:.2f} | {speed:.0f} | {mib:.0f} |"
        )
    return None


if __name__ == "__main__":
    main()
