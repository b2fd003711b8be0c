"""What a person sees of a running stage: a bar on a terminal, plain lines in a log, a JSON line per report, curves."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from finetune.training.checkpoints import writing
from finetune.training.tracking import Tracker


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMetrics:
    """What one step was like."""

    loss: float
    """Mean over the trained tokens."""
    tokens: int
    """Read, padding left out."""
    gradient_norm: float
    """Before it was clipped."""
    rate: float


class Progress:
    """Reports of one run of a stage. Lines of `log` after `step` belong to steps that will be done again: dropped."""

    def __init__(
        self,
        name: str,
        log: Path,
        *,
        total: int,
        step: int,
        shown: bool = True,
        trackers: Sequence[Tracker] = (),
    ) -> None:
        """`shown` is False for all but one of several processes: they say and write nothing."""
        self._shown, self._trackers = shown, trackers
        self._console = Console()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[rate]:.0f} tok/s"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (shown and self._console.is_terminal),
        )
        self._task = self._bar.add_task(name, total=total, completed=step, loss=float("nan"), rate=0.0)
        self._log, self._name, self._total, self._first = log, name, total, step
        if shown:
            kept = [line for line in _lines(log) if json.loads(line)["step"] <= step]
            with writing(str(log)):
                log.write_text("".join(kept), encoding="utf-8")
        self._began = time.perf_counter()
        self._since: list[StepMetrics] = []
        self._mark = self._began

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        for tracker in self._trackers:
            tracker.close()

    def step(self, step: int, learned: StepMetrics) -> None:
        """One step was made."""
        self._since.append(learned)
        self._bar.update(self._task, completed=step)

    def log(self, step: int, *, total_tokens: int) -> None:
        """Report the mean loss and gradient, the speed since the last report, and the last step's rate."""
        now, since = time.perf_counter(), self._since
        loss = sum(one.loss for one in since) / len(since)
        norm = sum(one.gradient_norm for one in since) / len(since)
        speed = sum(one.tokens for one in since) / (now - self._mark)
        left_s = (now - self._began) / (step - self._first) * (self._total - step)
        self._bar.update(self._task, loss=loss, rate=speed)
        self._write(
            step,
            loss=round(loss, 4),
            gradient_norm=round(norm, 4),
            rate=float(f"{since[-1].rate:.4g}"),
            tokens=total_tokens,
            tokens_per_s=round(speed),
        )
        self._say(
            f"step {step}/{self._total}  loss {loss:.3f}  {speed:.0f} tok/s  "
            f"{total_tokens / 1e6:.2f}M tokens  {left_s / 60:.1f} min left"
        )
        self._since, self._mark = [], now

    def evaluated(self, step: int, loss: float | None) -> None:
        """Report the loss on held-out rows, if any are held out."""
        if loss is None:
            return
        self._write(step, evaluation_loss=round(loss, 4))
        self._say(f"step {step}/{self._total}  loss on held-out rows {loss:.3f}")

    def solved(self, step: int, share: float | None) -> None:
        """Report the share of problems solved, if it was measured here."""
        if share is None:
            return
        self._write(step, solved=round(share, 4))
        self._say(f"step {step}/{self._total}  solved {100 * share:.1f} %")

    def _write(self, step: int, **values: float) -> None:
        if not self._shown:
            return
        with writing(str(self._log)):
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
            for tracker in self._trackers:
                tracker.log(step, values)

    def _say(self, line: str) -> None:
        if self._shown and not self._console.is_terminal:
            print(f"{self._name}: {line}", flush=True)


def _lines(path: Path) -> list[str]:
    """The whole lines of a file; a last one without its newline is left out, it was cut by a crash."""
    if not path.is_file():
        return []
    return [line for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]
