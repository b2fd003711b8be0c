"""Run attacks and print a line of JSON for each: its name, its outcome, and what was seen.

    python attack_runner.py --layers namespaces,landlock,seccomp,rlimits [--uid 65534] [--only NAME,...]
    python attack_runner.py --stock

Outcomes: "breach", the cell succeeded or left traces outside; "held"; "error", neither can be said. With `--stock` the
attacks run on an ordinary Jupyter kernel: one that fails there too proves nothing where it fails elsewhere.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from attack import LAYERS, Attack
from attacks import ATTACKS
from backends import Backend, ConfinedBackend, Said
from canaries import KEY_VARIABLE, Canaries, Scene, open_the_way
from stock import StockBackend

AT_ONCE = 4
ATTACK_TIMEOUT_S = 150.0
"""Only an attack that hangs takes as long."""
NEIGHBOUR = """
import ctypes, fcntl, json, os, signal
letter_boxes = [open(os.__file__) for _ in range(2)]
fcntl.flock(letter_boxes[0], fcntl.LOCK_EX)
fcntl.lockf(letter_boxes[1], fcntl.LOCK_SH)
vault = ctypes.create_string_buffer(b"CANARY")
with open("neighbour.txt", "w") as file:
    file.write("CANARY")
arrived = []
for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
    signal.signal(number, lambda number, frame: arrived.append(number))
print(json.dumps({"pid": os.getpid(), "work": os.getcwd(), "address": ctypes.addressof(vault)}))
"""
"""What another kernel does, for attacks on that one."""


class Outcome(NamedTuple):
    name: str
    outcome: Literal["breach", "held", "error"]
    detail: str


async def outcomes(attacks: Iterable[Attack], canaries: Canaries, backend: Backend) -> list[Outcome]:
    """Run `attacks`, some at a time."""
    found: dict[str, Outcome] = {}
    async with backend.session(fresh=True) as neighbour:
        said = await neighbour(NEIGHBOUR)
        if said.trouble:
            raise RuntimeError(f"no kernel to attack: {said.trouble}")
        canaries.neighbour = {f"other_{name}": str(value) for name, value in json.loads(said.stdout).items()}
        sockets = (str(path) for path in sorted(canaries.runtime.rglob("*")) if path.is_socket())
        canaries.neighbour["other_socket"] = next(sockets, "/nowhere")
        waiting, signals = iter(attacks), dict[int, str]()

        async def work() -> None:
            for attack in waiting:
                with canaries.scene(attack.name) as scene:
                    found[attack.name] = await attacked(attack, scene, backend)
                    signals[scene.signal] = attack.name

        async with asyncio.TaskGroup() as workers:
            for _ in range(AT_ONCE):
                workers.create_task(work())
        said = await neighbour("print(arrived)")
        if said.trouble:
            raise RuntimeError(f"the other kernel did not survive: {said.trouble}")
        for number in set(json.loads(said.stdout)):
            name = signals[number]
            found[name] = Outcome(name, "breach", f"signal {number} came to another kernel")
    return list(found.values())


async def attacked(attack: Attack, scene: Scene, backend: Backend) -> Outcome:
    try:
        async with asyncio.timeout(ATTACK_TIMEOUT_S):
            return await _attacked(attack, scene, backend)
    except Exception as error:  # no reason to skip the other attacks
        return Outcome(attack.name, "error", f"{type(error).__name__}: {error}")


async def _attacked(attack: Attack, scene: Scene, backend: Backend) -> Outcome:
    code, later = attack.cells(scene.marks(attack.code + attack.later))
    async with backend.session(fresh=attack.fresh) as run:
        said = await run(code)
        if later and backend.resets:
            await run("%reset -f")
            said = await run(later)
    if later and not backend.resets:
        async with backend.session(fresh=True) as run:
            said = await run(later)
    await asyncio.sleep(attack.wait_s)
    return judged(attack.name, said, scene.traces())


def judged(name: str, said: Said, traces: list[str]) -> Outcome:
    """Traces count whatever the cell says; a cell that says nothing was stopped by its exception or its death."""
    lines = said.stdout.splitlines()
    if traces:
        return Outcome(name, "breach", "; ".join(traces))
    if "BREACH" in lines:
        return Outcome(name, "breach", "the cell says so")
    if held := [line for line in lines if line.startswith("held: ")]:
        return Outcome(name, "held", held[-1].removeprefix("held: "))
    if said.trouble and not said.trouble.startswith("timeout"):
        return Outcome(name, "held", said.trouble)
    return Outcome(name, "error", said.trouble or f"the cell ended and said {said.stdout[:200]!r}")


def restarted(uid: int) -> None:
    """Start over as the user `uid`, with a key in the environment that the system shows to whoever may read it."""
    base = Path(tempfile.mkdtemp(prefix="canary-", dir="/tmp"))
    base.chmod(0o755)
    if uid != os.getuid():
        open_the_way([Path(sys.base_prefix).resolve(), Path(sys.prefix), Path(__file__).parents[3]])
        os.chown(base, uid, uid)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    os.chdir(base)
    os.umask(0o022)
    environment = {
        "HOME": f"{base}/home",
        "IPYTHONDIR": f"{base}/ipython",
        "JUPYTER_RUNTIME_DIR": f"{base}/runtime",
        "TMPDIR": f"{base}/runtime",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        KEY_VARIABLE: f"CANARY-KEY-{secrets.token_hex(16)}",
    }
    command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:], "--base", str(base)]
    os.execve(sys.executable, command, os.environ | environment)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", default=",".join(sorted(LAYERS)))
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("--uid", type=int, default=os.getuid())
    parser.add_argument("--only", default="")
    parser.add_argument("--trial", action="store_true", help="only see whether that user can run this")
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.base is None:
        restarted(options.uid)
    with Canaries(options.base) as canaries:
        if options.trial:
            return
        chosen = options.only.split(",") if options.only else [attack.name for attack in ATTACKS]
        attacks = [attack for attack in ATTACKS if attack.name in chosen]
        layers = frozenset(filter(None, options.layers.split(",")))
        backend: Backend = (
            StockBackend(canaries.base / "kernels", canaries.runtime)
            if options.stock
            else ConfinedBackend(layers)
        )
        try:
            for outcome in await outcomes(attacks, canaries, backend):
                print(json.dumps(outcome._asdict()))
        finally:
            await backend.close()


if __name__ == "__main__":
    asyncio.run(main())
