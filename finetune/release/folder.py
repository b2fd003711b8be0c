"""Export a trained model and write its card: one folder to publish."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.release.card import NAME, is_ours, write_card
from finetune.release.export import GRAPH, Weights, export
from finetune.training.train import MANIFEST
from mumath_agent.models.calibration import FILE
from mumath_agent.models.embedded_engine import weights_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The report of an export."""

    bytes: int
    """Size of the folder."""
    has_card: bool
    """True if the model card was written; one that was written by hand stays."""
    left_out: str | None
    """Why the embedded engine's format was left out, or None."""
    wheel_bytes: int
    """What the files that the embedded engine needs take in a wheel, compressed; 0 without its format."""

    @property
    def size(self) -> str:
        """The folder's size, and what it takes in a wheel, in words."""
        wheel = f"; {self.wheel_bytes / 1e6:.1f} MB of it in a wheel" if self.wheel_bytes else ""
        return f"{self.bytes / 1e6:.1f} MB{wheel}"


def release(
    checkpoint: Path,
    out: Path,
    *,
    data: Sequence[Path] = (),
    run: Path | None = None,
    weights: Weights = Weights.FLOAT16,
) -> Released:
    """Export `checkpoint` to `out`, with a model card unless there is one by hand.

    Args:
        checkpoint: folder of a model; a finished stage gets a card.
        out: folder to write.
        data: files that its stages were trained on.
        run: folder of a run of the benchmarks with it.
        weights: precision of the embedded engine's weights.

    Raises:
        InputError: see `export` and `write_card`.
    """
    left_out = export(checkpoint, out, weights=weights)
    has_card = (checkpoint / MANIFEST).is_file() and is_ours(out)
    if has_card:
        write_card(out, checkpoint, data=data, run=run)
    size = sum(file.stat().st_size for file in out.iterdir())
    wheel = 0 if left_out else sum(_compressed(path) for path in wheel_files(out))
    return Released(bytes=size, has_card=has_card, left_out=left_out, wheel_bytes=wheel)


def wheel_files(folder: Path) -> list[Path]:
    """Return the files of an exported folder that the embedded engine needs, and the card."""
    needed = {
        *GRAPH,
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        FILE,
        NAME,
    }
    found = [folder / name for name in sorted(needed) if (folder / name).is_file()]
    return [*found, weights_file(folder)]


def _compressed(path: Path) -> int:
    return len(zlib.compress(path.read_bytes()))
