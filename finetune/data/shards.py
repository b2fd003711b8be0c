"""Run a data stage on many machines: cut the input into shards, run the command on each, join the outputs.

    input ─▶ shard 0 … shard n-1 ─▶ `python -m finetune STAGE …` on a node each (Ray) ─▶ outputs in order ─▶ output

Shards are consecutive lines, so the joined output is the one a single process would have written. A shard's files lie
beside the output, on storage that all nodes see; the same command resumes from them. Ray finds a node and tries again
elsewhere when one is lost; kernels and connections belong to the process on that node.
"""

import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.data.jobs import JobManifest, read_manifest, write_manifest
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.problems import read_text
from mumath_agent.runs.jsonl import replace_file

LOST_NODES = 3
"""Times a shard is begun again after its node was lost."""

_CHECKOUT = Path(__file__).resolve().parents[2]


class ShardFailed(MuMathError):
    """A stage ended with an error on one of its shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A part of the input, and its output."""

    source: Path
    out: Path


def cut(source: Path, out: Path, number: int) -> tuple[Shard, ...]:
    """Write `number` shards of consecutive lines, beside `out`; fewer where there are fewer lines.

    Raises:
        InputError: the input can't be read or has no line, or the shards can't be written.
    """
    lines = [line for line in read_text(source).split("\n") if line.strip()]
    if not lines:
        raise InputError(f"{source} is empty")
    folder = out.with_name(f"{out.name}.shards")
    number = min(number, len(lines))
    return tuple(_shards(lines, folder, source, number))


def _shards(lines: Sequence[str], folder: Path, source: Path, number: int) -> Iterator[Shard]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(number):
            part = lines[len(lines) * index // number : len(lines) * (index + 1) // number]
            name = f"{index:05d}-of-{number:05d}"
            shard = Shard(source=folder / f"{name}.in.jsonl", out=folder / f"{name}.jsonl")
            replace_file(shard.source, (f"{line}\n" for line in part))
            yield shard
    except OSError as error:
        raise InputError(f"can't write shards of {source} to {folder}: {error.strerror}") from None


def work_on_ray(
    stage: str, arguments: Sequence[str], shards: Sequence[Shard], *, cpus: float, address: str | None
) -> None:
    """Run the stage's command on every shard, as many at a time as the cluster has room for.

    Args:
        stage: the command, such as "synthesize".
        arguments: its options, without input and output.
        shards: the parts it is run on.
        cpus: CPUs that one of these processes takes of a node.
        address: of a running cluster ("auto" for the one this machine belongs to); None starts one on this machine.

    Raises:
        ShardFailed: one of them ended with an error; the others were let finish.
    """
    try:
        import ray
    except ImportError:
        raise InputError("running on several machines needs Ray, which the scale extra brings") from None
    ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        run = ray.remote(num_cpus=cpus, max_retries=LOST_NODES)(_run)
        tasks = [run.remote(_command(stage, shard, arguments)) for shard in shards]
        ended = ray.get(tasks)
    finally:
        ray.shutdown()
    failed = [(shard, error) for shard, error in zip(shards, ended, strict=True) if error]
    if failed:
        shard, error = failed[0]
        raise ShardFailed(
            f"{len(failed)} of {len(shards)} shards failed; {shard.source.name}: {error}; "
            "the same command goes on with what is missing"
        )


def join(shards: Sequence[Shard], out: Path) -> JobManifest:
    """Write the shards' outputs into one, in order, with a manifest that adds them up.

    Raises:
        InputError: a shard isn't finished, or the output can't be written.
    """
    manifests = [read_manifest(shard.out) for shard in shards]
    unfinished = [s.out.name for s, m in zip(shards, manifests, strict=True) if not m.finished]
    if unfinished:
        raise InputError(f"{', '.join(unfinished)} not finished; run the same command again")
    counts: Counter[str] = Counter()
    for manifest in manifests:
        counts.update(manifest.counts)
    replace_file(out, (shard.out.read_bytes().decode() for shard in shards))
    inputs = {name: sha for manifest in manifests for name, sha in manifest.identity.inputs.items()}
    joined = JobManifest(
        identity=replace(manifests[0].identity, inputs=inputs),
        rows=sum(manifest.rows for manifest in manifests),
        counts=dict(sorted(counts.items())),
    )
    write_manifest(out, joined)
    return joined


def _command(stage: str, shard: Shard, arguments: Sequence[str]) -> list[str]:
    files = [str(shard.source.resolve()), "--out", str(shard.out.resolve())]
    return [sys.executable, "-m", "finetune", stage, *files, *arguments]


def _run(command: list[str]) -> str | None:
    """Run the command on some node; return its last line of complaint if it failed."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=_CHECKOUT)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().rsplit("\n", 1)[-1] or f"exit code {done.returncode}").removeprefix("error: ")
