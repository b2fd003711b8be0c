"""What a person sees of a running stage: a bar on a terminal, plain lines in a log, one JSON line per report."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Reports of one run of a stage. Lines of `log` after `step` belong to steps that will be done again: dropped."""

    def __init__(self, name: str, log: Path, *, total: int, step: int, shown: bool = True) -> None:
        """`shown` is False for all but one of several processes: they say and write nothing."""
        self._shown = shown
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
            log.write_text("".join(kept), encoding="utf-8")
        self._began = time.perf_counter()
        self._loss, self._steps, self._tokens, self._total_tokens = 0.0, 0, 0, 0
        self._mark = self._began

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, step: int, *, loss: float, tokens: int, total_tokens: int) -> None:
        """One step was made."""
        self._loss, self._steps, self._tokens = self._loss + loss, self._steps + 1, self._tokens + tokens
        self._total_tokens = total_tokens
        self._bar.update(self._task, completed=step)

    def log(self, step: int) -> None:
        """Report the mean loss and the speed since the last report."""
        now = time.perf_counter()
        loss, rate = self._loss / self._steps, self._tokens / (now - self._mark)
        left_s = (now - self._began) / (step - self._first) * (self._total - step)
        self._bar.update(self._task, loss=loss, rate=rate)
        self._write(step=step, loss=round(loss, 4), tokens=self._total_tokens, tokens_per_s=round(rate))
        self._say(
            f"step {step}/{self._total}  loss {loss:.3f}  {rate:.0f} tok/s  "
            f"{self._total_tokens / 1e6:.2f}M tokens  {left_s / 60:.1f} min left"
        )
        self._loss, self._steps, self._tokens, self._mark = 0.0, 0, 0, now

    def evaluated(self, step: int, loss: float | None) -> None:
        """Report the loss on held-out rows, if any are held out."""
        if loss is None:
            return
        self._write(step=step, evaluation_loss=round(loss, 4))
        self._say(f"step {step}/{self._total}  loss on held-out rows {loss:.3f}")

    def solved(self, step: int, share: float | None) -> None:
        """Report the share of problems solved, if it was measured here."""
        if share is None:
            return
        self._write(step=step, solved=round(share, 4))
        self._say(f"step {step}/{self._total}  solved {100 * share:.1f} %")

    def _write(self, **values: Any) -> None:
        if not self._shown:
            return
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def _say(self, line: str) -> None:
        if self._shown and not self._console.is_terminal:
            print(f"{self._name}: {line}", flush=True)


def _lines(path: Path) -> list[str]:
    """The whole lines of a file; a last one without its newline is left out, it was cut by a crash."""
    if not path.is_file():
        return []
    return [line for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]
