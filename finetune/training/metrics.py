"""Report a training run: a bar on a terminal, plain lines elsewhere, log.jsonl, and curves where they are asked for.

    step metrics ─▶ Reporter ─┬─▶ bar, or lines on stdout
                              ├─▶ out/log.jsonl
                              └─▶ TensorBoard's event files, Weights & Biases

TensorBoard and W&B are extras, imported when they are asked for. They get the numbers of the log and no text of any
row. W&B obeys its own environment (WANDB_MODE=offline keeps everything on this machine).
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mumath_agent.commands.console import stdout
from mumath_agent.errors import InputError, MissingExtra
from mumath_agent.runs.jsonl import append_line, read_lines, replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMetrics:
    """The figures of one training step."""

    loss: float
    """Mean over the trained tokens."""
    tokens: int
    """Tokens read, without padding."""
    gradient_norm: float
    """Before clipping."""
    learning_rate: float


class Tracking(StrEnum):
    """A place for curves, by the name of its extra."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"


class Tracker(Protocol):
    """An open place for curves."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each named curve."""
        ...

    def close(self) -> None:
        """Write what is buffered and end."""
        ...


class Reporter:
    """Reports the steps of one training run."""

    def __init__(
        self,
        name: str,
        log: Path,
        *,
        total: int,
        step: int,
        is_first: bool = True,
        trackers: Sequence[Tracker] = (),
    ) -> None:
        """Continue the log after `step`.

        Lines about later steps are removed: those steps will be made again. All processes but the first report
        nothing.

        Raises:
            InputError: the log can't be read or written.
        """
        self._is_first, self._trackers = is_first, trackers
        self._console = stdout()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:.0f} tok/s"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (is_first and self._console.is_terminal),
        )
        self._task = self._bar.add_task(name, total=total, completed=step, loss=float("nan"), speed=0.0)
        self._log, self._name, self._total, self._first_step = log, name, total, step
        if is_first:
            lines = [line.text for line in read_lines(log)] if log.is_file() else []
            replace_file(log, (f"{line}\n" for line in lines if json.loads(line)["step"] <= step))
        self._began = self._reported = time.perf_counter()
        self._unreported: list[StepMetrics] = []

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar and close the trackers."""
        self._bar.stop()
        for tracker in self._trackers:
            tracker.close()

    def step(self, step: int, metrics: StepMetrics) -> None:
        """Note that a step was made."""
        self._unreported.append(metrics)
        self._bar.update(self._task, completed=step)

    def training(self, step: int, *, total_tokens: int) -> None:
        """Report the mean loss, gradient and speed since the last report, and the last step's learning rate."""
        now, steps = time.perf_counter(), self._unreported
        loss = sum(one.loss for one in steps) / len(steps)
        norm = sum(one.gradient_norm for one in steps) / len(steps)
        speed = sum(one.tokens for one in steps) / (now - self._reported)
        left_s = (now - self._began) / (step - self._first_step) * (self._total - step)
        self._bar.update(self._task, loss=loss, speed=speed)
        self._write(
            step,
            loss=round(loss, 4),
            gradient_norm=round(norm, 4),
            learning_rate=float(f"{steps[-1].learning_rate:.4g}"),
            tokens=total_tokens,
            tokens_per_s=round(speed),
        )
        self._say(
            f"step {step}/{self._total}  loss {loss:.3f}  {speed:.0f} tok/s  "
            f"{total_tokens / 1e6:.2f}M tokens  {left_s / 60:.1f} min left"
        )
        self._unreported, self._reported = [], now

    def evaluation(self, step: int, loss: float) -> None:
        """Report the loss on held-out rows."""
        self._write(step, evaluation_loss=round(loss, 4))
        self._say(f"step {step}/{self._total}  loss on held-out rows {loss:.3f}")

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Report what else is known of a step, by name."""
        self._write(step, **{name.replace(" ", "_"): value for name, value in values.items()})
        self._say(f"step {step}/{self._total}  " + "  ".join(f"{n} {v:g}" for n, v in values.items()))

    def solve_rate(self, step: int, share: float) -> None:
        """Report the share of problems solved."""
        self._write(step, solved=round(share, 4))
        self._say(f"step {step}/{self._total}  solved {100 * share:.1f} %")

    def _write(self, step: int, **values: float) -> None:
        if not self._is_first:
            return
        append_line(self._log, {"step": step, **values})
        try:
            for tracker in self._trackers:
                tracker.log(step, values)
        except OSError as error:
            raise InputError(f"can't write the curves of {self._name}: {error.strerror}") from None

    def _say(self, line: str) -> None:
        if self._is_first and not self._console.is_terminal:
            print(f"{self._name}: {line}", flush=True)


def require_tracking(places: Sequence[Tracking]) -> None:
    """Check that what the curves need is installed.

    Raises:
        InputError: an extra isn't installed.
    """
    for place in places:
        _import("torch.utils.tensorboard" if place is Tracking.TENSORBOARD else "wandb", place)


def open_trackers(places: Sequence[Tracking], out: Path, name: str, *, step: int) -> tuple[Tracker, ...]:
    """Open the curves of a training run that continues after `step`; points of later steps are replaced."""
    return tuple(
        _TensorBoard(out, step) if place is Tracking.TENSORBOARD else _Wandb(out, name) for place in places
    )


class _TensorBoard:
    """Event files in out/tensorboard."""

    def __init__(self, out: Path, step: int) -> None:
        writer = _import("torch.utils.tensorboard", Tracking.TENSORBOARD).SummaryWriter
        self._writer: Any = writer(str(out / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """A run of W&B that is named after its folder, so that a resumed training run continues it."""

    def __init__(self, out: Path, name: str) -> None:
        run = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:12]
        wandb = _import("wandb", Tracking.WANDB)
        self._run: Any = wandb.init(project="mumath-agent", name=name, id=run, resume="allow", dir=str(out))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def _import(module: str, place: Tracking) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtra(f"--track {place}", f"finetune,{place}") from None
