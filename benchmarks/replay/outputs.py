r"""Compare what a cell printed in a recording with what it prints here, and say why they differ.

Each cause but `OURS` has a rule that looks at both outputs and tells what the difference is; what no rule explains is
ours to explain. So `OURS` has to be empty for the kernel to count as faithful, and a rule too lenient would hide a
defect.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

import numpy

from benchmarks.replay.recordings import Runtime
from mumath_agent.records import Execution, ExecutionStatus
from mumath_agent.runs.reproduction import NUMBER, same_numbers, visible_text, wording


class DifferenceCause(StrEnum):
    """Why two outputs of a program differ."""

    EQUAL = "equal"
    FLOAT_FORMAT = "float format"
    """The same text but for decimals: they are equal to a relative 1e-6."""
    TEXT_FORMAT = "text format"
    """The same exception in other words."""
    LIBRARY_VERSION = "library version"
    """A newer library prints the same value in other words or rounds its last bits otherwise; or one is missing."""
    TIME_OUT = "time-out"
    """The program was stopped, in the recording or here, or it met a session that lacks what a stopped one defined."""
    SHIFTED = "shifted"
    """The recording shows the output of an earlier cell (MathCoder's runtime, after a time-out)."""
    RANDOM = "random"
    """The program draws random numbers without a seed: the same wording with other numbers."""
    REFUSED = "refused"
    """The program wants to leave Python (install packages, call a shell, use the network), which isolation denies."""
    OURS = "ours"
    """Unexplained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a cell printed, with its error if there is one."""

    text: str
    error: str | None = None
    """Name of the exception."""
    timed_out: bool = False
    refused: bool = False
    """It tried what isolation denies."""
    cell: int | None = None
    """The cell it says it comes from ("Cell In[3]"), counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPair:
    """The recorded and our output of one cell."""

    code: str
    recorded: Output
    ours: Output


_MISSING = re.compile(r"ModuleNotFoundError: No module named '(\w+)")
_REMOVED = re.compile(r"AttributeError: module 'numpy' has no attribute '(\w+)'")
_NOISE, _NOISY_SHARE = 1e-3, 0.01
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NUMPY_SCALAR = re.compile(r"\bnp\.(?:(True|False)_|\w+\(([^()]*)\))")
_RANDOM = re.compile(r"\brandom\b")
_SEED = re.compile(r"\bseed\(|\bdefault_rng\(\d")
_EMPTY = "<empty_execution>"
_TIMED_OUT = re.compile(r"Timeout ?Error|Timed Out|timeout_decorator")
_DENIED = re.compile(r"\[Errno (?:1|13)\]")
_WAITING = "Timeout waiting for reply"
_TRACEBACK = re.compile(
    r"(?:^\s*|-{20,} )(\w+)\s+Traceback \(most recent call last\)|^\s*Cell In\[", re.MULTILINE
)
_CELL = re.compile(r"Cell In\[(\d+)\]")
_ERROR_LINE = re.compile(
    r"^\s*(?:\w+\.)*(\w*(?:Error|Exception|Interrupt|Exit|Iteration|Failed|Needed|Convergence))(?::|\s*$)"
)
_FIGURE = re.compile(r"^<Figure size [\dx]+ with \d+ Axes>$", re.MULTILINE)
_TORA_CHARS = 400


def recorded_output(text: str, runtime: Runtime) -> Output:
    """Return what a recording shows for a cell; `text` is as `runtime` wrote it."""
    text = _COLOUR.sub("", text)
    if runtime is not Runtime.MATHCODER:
        return Output(text=text, error=_error_name(text), timed_out=bool(_TIMED_OUT.search(text)))
    if text.strip() == _EMPTY:
        return Output(text="")
    if _WAITING in text:
        return Output(text=text, timed_out=True)
    if not (tracebacks := _TRACEBACK.findall(text)):
        return Output(text=text)
    cell = _CELL.search(text)
    # Of exceptions raised while others were handled, the last one is what happened.
    error = next(filter(None, reversed(tracebacks)), None) or _error_name(text)
    return Output(text=text, error=error, cell=int(cell[1]) if cell else None)


def our_output(execution: Execution, runtime: Runtime) -> Output:
    """Return what `runtime` would have shown of an execution."""
    timed_out = execution.status is ExecutionStatus.TIMEOUT
    error = None if timed_out or not execution.error else _error_name(execution.error)
    refused = bool(execution.error and _DENIED.search(execution.error))
    return Output(text=_shown(execution, runtime), error=error, timed_out=timed_out, refused=refused)


def _shown(execution: Execution, runtime: Runtime) -> str:
    if runtime is Runtime.MUMATH:
        return visible_text(execution)
    if runtime is Runtime.TORA:
        last_line = execution.error.split("\n")[-1] if execution.error else None
        return _cut(last_line or execution.stdout.strip() or "Done")
    parts = (execution.stdout, execution.stderr, execution.result, execution.error)
    shown = "\n".join(part.strip("\n") for part in parts if part)
    return _FIGURE.sub("", shown)  # MathCoder's client left out what a cell displays


def difference_cause(
    pair: OutputPair, earlier: Sequence[OutputPair], later: Sequence[Output] = ()
) -> DifferenceCause:
    """Return why the two outputs of a cell differ.

    Args:
        pair: the two outputs.
        earlier: those of the cells before it, in order.
        later: what the recording shows for the cells after it.
    """
    recorded, ours = pair.recorded, pair.ours
    if _words(recorded.text) == _words(ours.text):
        return DifferenceCause.EQUAL
    if ours.refused:
        return DifferenceCause.REFUSED
    if recorded.timed_out or ours.timed_out:
        return DifferenceCause.TIME_OUT
    if _is_shifted(pair, earlier, later):
        return DifferenceCause.SHIFTED
    if _is_lost_state(pair, earlier):
        return DifferenceCause.TIME_OUT
    if recorded.error or ours.error:
        if recorded.error == ours.error:
            return DifferenceCause.TEXT_FORMAT
        return DifferenceCause.LIBRARY_VERSION if _lacks_library(ours) else DifferenceCause.OURS
    if same_numbers(recorded.text, ours.text):
        return DifferenceCause.FLOAT_FORMAT
    if same_numbers(recorded.text, _plain_numpy(ours.text)) or _is_array_noise(recorded.text, ours.text):
        return DifferenceCause.LIBRARY_VERSION
    return DifferenceCause.RANDOM if _is_drawn(pair, earlier) else DifferenceCause.OURS


def _is_shifted(pair: OutputPair, earlier: Sequence[OutputPair], later: Sequence[Output]) -> bool:
    """Tell whether, after a recorded time-out, the recording shows what an earlier cell printed.

    It names that cell, or the cell prints it here, or what this cell prints here is recorded later on.
    """
    if not any(before.recorded.timed_out for before in earlier):
        return False
    if pair.recorded.cell is not None:
        return pair.recorded.cell <= len(earlier)
    if any(_is_same(pair.recorded, before.ours) for before in earlier):
        return True
    return bool(pair.ours.text) and any(_words(after.text) == _words(pair.ours.text) for after in later)


def _is_lost_state(pair: OutputPair, earlier: Sequence[OutputPair]) -> bool:
    """Tell whether the cell, or the one whose output is recorded for it, ran after one that was stopped here only.

    The recorded kernel was never interrupted, so a cell that timed out finished there later and defined its names.
    """
    stopped = [position for position, before in enumerate(earlier, start=1) if before.ours.timed_out]
    if not stopped:
        return False
    lacked_names = any(before.ours.error == "NameError" for before in earlier[stopped[0] :])
    if pair.ours.error == "NameError" or (pair.ours.error and lacked_names):
        return True
    lag = _lag(earlier)
    return lag > 0 and len(earlier) + 1 - lag >= stopped[0]


def _lag(earlier: Sequence[OutputPair]) -> int:
    """Return by how many cells the recorded outputs come late, as far as their tracebacks say."""
    lags = [
        position - pair.recorded.cell for position, pair in enumerate(earlier, start=1) if pair.recorded.cell
    ]
    return max(lags, default=0)


def _is_same(recorded: Output, ours: Output) -> bool:
    if recorded.error or ours.error:
        return recorded.error == ours.error
    return _words(recorded.text) == _words(ours.text) or same_numbers(recorded.text, ours.text)


def _is_drawn(pair: OutputPair, earlier: Sequence[OutputPair]) -> bool:
    """Tell whether the solution draws random numbers without a seed, and the outputs differ in numbers only."""
    program = "\n".join(each.code for each in (*earlier, pair))
    is_random = _RANDOM.search(program) and not _SEED.search(program)
    return bool(is_random) and wording(pair.recorded.text) == wording(_plain_numpy(pair.ours.text))


def _lacks_library(ours: Output) -> bool:
    """Tell whether it uses what isn't installed here: our own process lacks it too, so the kernel is not to blame."""
    if removed := _REMOVED.search(ours.text):
        return not hasattr(numpy, removed[1])
    missing = _MISSING.search(ours.text)
    return missing is not None and find_spec(missing[1]) is None


def _is_array_noise(recorded: str, ours: str) -> bool:
    """Tell whether both are large arrays that differ in the last bits of few items, as numpy's exp may round them."""
    if "array(" not in recorded or wording(recorded) != wording(ours):
        return False
    items = [
        (float(a), float(b)) for a, b in zip(NUMBER.findall(recorded), NUMBER.findall(ours), strict=True)
    ]
    others = [(a, b) for a, b in items if a != b]
    return len(others) <= _NOISY_SHARE * len(items) and all(
        math.isclose(a, b, rel_tol=_NOISE) for a, b in others
    )


def _plain_numpy(text: str) -> str:
    """Return `text` with scalars as numpy 1 printed them: 0.5 for np.float64(0.5)."""
    return _NUMPY_SCALAR.sub(lambda scalar: scalar[1] or scalar[2], text)


def _words(text: str) -> str:
    return " ".join(text.split())


def _error_name(text: str) -> str | None:
    """Return the exception of the last line that begins with one; messages may go on for lines."""
    names = [match[1] for line in text.split("\n") if (match := _ERROR_LINE.match(line))]
    return names[-1] if names else None


def _cut(text: str) -> str:
    half = _TORA_CHARS // 2
    return text if len(text) <= _TORA_CHARS else f"{text[:half]}...{text[-half:]}"
