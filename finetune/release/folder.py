"""Export a trained model and write its card: one folder to publish."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.release.card import is_ours, write_card
from finetune.release.export import export
from finetune.training.train import MANIFEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The report of an export."""

    bytes: int
    """Size of the folder."""
    has_card: bool
    """True if the model card was written; one that was written by hand stays."""
    left_out: str | None
    """Why the embedded engine's format was left out, or None."""

    @property
    def size(self) -> str:
        """The folder's size, in words."""
        return f"{self.bytes / 1e6:.1f} MB"


def release(checkpoint: Path, out: Path, *, data: Sequence[Path] = (), run: Path | None = None) -> Released:
    """Export `checkpoint` to `out`, with a model card unless there is one by hand.

    Args:
        checkpoint: folder of a model; a finished stage gets a card.
        out: folder to write.
        data: files that its stages were trained on.
        run: folder of a run of the benchmarks with it.

    Raises:
        InputError: see `export` and `write_card`.
    """
    left_out = export(checkpoint, out)
    has_card = (checkpoint / MANIFEST).is_file() and is_ours(out)
    if has_card:
        write_card(out, checkpoint, data=data, run=run)
    size = sum(file.stat().st_size for file in out.iterdir())
    return Released(bytes=size, has_card=has_card, left_out=left_out)
