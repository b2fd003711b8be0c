"""Write the model card of an exported folder, from records only: what it was trained on and how, and how it did.

    stage.json of the checkpoint and the stages before it (beside it, by the hash of their weights) ─┐
    manifests of the data, and of the files it was made of (by name and hash)                       ─┼─▶ README.md
    records of a run of the benchmarks                                                              ─┘

The text is `card.md.jinja`. A README that wasn't written here is never replaced.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors import safe_open
from scipy.stats import binomtest

from finetune.data.jobs import manifest_path, read_manifest, sha256
from finetune.release.export import GRAPH
from finetune.training.tokenizer import load_tokenizer
from finetune.training.train import MANIFEST
from mumath_agent.errors import InputError
from mumath_agent.models.embedded_engine import QUANTIZED
from mumath_agent.records import Outcome, RunRecord
from mumath_agent.runs.jsonl import load_records, replace_file

NAME = "README.md"
MARK = "<!-- Written by `python -m finetune`. Without this line it is yours and stays as it is. -->"
_WEIGHTS = ("model.safetensors", "adapter_model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedStage:
    """A finished stage, as its `stage.json` describes it."""

    folder: Path
    recipe: dict[str, Any]
    """The settings that are set."""
    start_sha256: dict[str, str]
    data_sha256: str
    rows: int
    tokens: int
    loss: str

    @property
    def start(self) -> str:
        """The model that the first known stage started from, in words."""
        weights = [digest for name, digest in self.start_sha256.items() if name in _WEIGHTS]
        return f"a model, SHA-256 `{weights[0][:16]}…`" if weights else "nothing"

    @property
    def steps(self) -> str:
        """The length of the training run, in steps or epochs."""
        return str(self.recipe.get("steps") or f"{self.recipe['epochs']} epochs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of the data pipeline."""

    name: str
    made_by: str
    rows: int
    sha256: str
    counts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A run of the benchmarks."""

    task: str
    settings: str
    attempts: int
    outcomes: dict[str, int]
    interval: tuple[float, float]
    """95 % Wilson interval of the accuracy."""

    @property
    def accuracy(self) -> float:
        """Share of the attempts that are correct."""
        return self.outcomes.get(Outcome.CORRECT, 0) / self.attempts

    @property
    def outcomes_in_words(self) -> str:
        """The number of attempts of each outcome."""
        return ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())


def is_ours(folder: Path) -> bool:
    """Return whether the folder's card may be written: it has none, or one that was written here."""
    card = folder / NAME
    return not card.exists() or MARK in card.read_text("utf-8")


def write_card(folder: Path, checkpoint: Path, *, data: Sequence[Path] = (), run: Path | None = None) -> None:
    """Write the card of `folder`, which was exported from `checkpoint`.

    Args:
        folder: the exported model.
        checkpoint: the finished stage it was exported from.
        data: files that the stages were trained on; their hashes tell which stage.
        run: folder of a run of the benchmarks with this model.

    Raises:
        InputError: the checkpoint isn't a finished stage, a file wasn't trained on, or the run can't be read.
    """
    stages = lineage(checkpoint)
    for path in data:
        if sha256(path) not in {stage.data_sha256 for stage in stages}:
            raise InputError(f"neither {checkpoint} nor a stage before it was trained on {path}")
    facts = {
        "mark": MARK,
        "name": folder.resolve().name,
        "stages": stages,
        "sources": list(dict.fromkeys(source for path in data for source in sources(path))),
        "evaluation": read_evaluation(run) if run is not None else None,
    }
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
    )
    text = environment.get_template("card.md.jinja").render(facts | _model(folder))
    replace_file(folder / NAME, text)


def lineage(checkpoint: Path) -> tuple[TrainedStage, ...]:
    """Return the checkpoint's stage and the earlier ones in folders beside it, in the order of training.

    Raises:
        InputError: the checkpoint isn't a finished stage.
    """
    if not (checkpoint / MANIFEST).is_file():
        raise InputError(
            f"{checkpoint} has no {MANIFEST}: it isn't a finished stage, so a card has nothing to say"
        )
    stages = [_trained(checkpoint)]
    while (before := _before(stages[0])) is not None:
        stages.insert(0, before)
    return tuple(stages)


def sources(path: Path) -> Iterator[Source]:
    """Yield a file of the pipeline, after the files beside it that it was made of."""
    if not manifest_path(path).is_file():
        return
    manifest = read_manifest(path)
    for name, digest in manifest.identity.inputs.items():
        beside = path.parent / Path(name).name
        if beside.is_file() and sha256(beside) == digest:
            yield from sources(beside)
    counts = ", ".join(f"{count:,} {what}" for what, count in manifest.counts.items())
    yield Source(
        name=path.name,
        made_by=manifest.identity.stage,
        rows=manifest.rows,
        sha256=sha256(path),
        counts=counts,
    )


def read_evaluation(run: Path) -> Evaluation:
    """Return counts over the attempts of a run; those that broken machinery ended count as not solved.

    Raises:
        InputError: `run` isn't the folder of a run.
    """
    records = load_records(run / "attempts.jsonl", RunRecord)
    try:
        task = str(json.loads((run / "manifest.json").read_text("utf-8"))["task"])
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"{run} has no manifest.json that names a task; give a run of the benchmarks"
        ) from None
    outcomes = Counter(str(record.verdict.outcome) if record.verdict else "not graded" for record in records)
    settings, limits = records[0].settings, records[0].settings.limits
    found = binomtest(outcomes[Outcome.CORRECT], len(records)).proportion_ci(method="wilson")
    return Evaluation(
        task=Path(task).name,
        settings=f"temperature {settings.sampling.temperature:g}, at most {limits.max_turns} turns of "
        f"{limits.max_new_tokens} tokens, programs run in isolation ({records[0].isolation})",
        attempts=len(records),
        outcomes=dict(sorted(outcomes.items())),
        interval=(float(found.low), float(found.high)),
    )


def _trained(folder: Path) -> TrainedStage:
    record = json.loads((folder / MANIFEST).read_text("utf-8"))
    identity, loss = record["identity"], record["evaluation_loss"]
    return TrainedStage(
        folder=folder.resolve(),
        recipe={key: value for key, value in identity["recipe"].items() if value is not None},
        start_sha256=identity["start_sha256"],
        data_sha256=identity["data_sha256"],
        rows=identity["rows"],
        tokens=record["tokens"],
        loss="none held out" if loss is None else f"{loss:.3f}",
    )


def _before(stage: TrainedStage) -> TrainedStage | None:
    """Return the stage whose weights this one started from, if its folder is beside this one's."""
    started = {digest for name, digest in stage.start_sha256.items() if name in _WEIGHTS}
    for folder in sorted(stage.folder.parent.iterdir()):
        if folder != stage.folder and (folder / MANIFEST).is_file():
            weights = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
            if started & {sha256(path) for path in weights}:
                return _trained(folder)
    return None


def _model(folder: Path) -> dict[str, Any]:
    """Read facts from the exported files themselves."""
    parameters, stored = 0, set[str]()
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="np") as tensors:
            for name in tensors.keys():  # noqa: SIM118  # not a mapping
                part = tensors.get_slice(name)
                parameters += prod(part.get_shape())
                stored.add(part.get_dtype())
    return {
        "config": json.loads((folder / "config.json").read_text("utf-8")),
        "parameters": parameters,
        "stored": ", ".join(sorted(stored)),
        "is_quantized": (folder / QUANTIZED).is_file(),
        "has_graph": all((folder / name).is_file() for name in GRAPH),
        "end_token": load_tokenizer(folder).eos_token,
    }
