"""Read recorded solutions, with every program they ran and what it printed, into one form.

Three formats are told apart by their keys: MathCoder's (`debug_result`: a list of blocks with roles; one Jupyter kernel
per solution, so state lasts from cell to cell), ToRA's (`code`: the whole solution with fences; every program began in
an empty namespace) and our own run records (`trajectory`; a run's folder will do). A line in any other format is an
error of its own and doesn't stop the others.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.runs import ATTEMPTS
from mumath_agent.answers import boxed_answers, extract_answer
from mumath_agent.dialects import Fenced
from mumath_agent.dialects.blocks import block, last_block
from mumath_agent.errors import InputError
from mumath_agent.records import (
    BROKEN,
    Answer,
    AnswerSource,
    Completion,
    FinishReason,
    Limits,
    RunRecord,
    Sampling,
    Settings,
    from_json,
)
from mumath_agent.runs.executed import restarts_of, session_of
from mumath_agent.runs.graded import AnswerOf
from mumath_agent.runs.jsonl import Line, read_lines
from mumath_agent.runs.replay import Session
from mumath_agent.runs.reproduction import visible_text
from mumath_agent.transcript import Kind, Transcript


class Runtime(StrEnum):
    """Whose runtime recorded a solution; it decides what was shown of an execution, and what the answer is."""

    MATHCODER = "mathcoder"
    """A Jupyter kernel. Shown: everything printed, then the last value or IPython's traceback."""
    TORA = "tora"
    """A fresh namespace per program. Shown: stdout, or only the last line of the traceback; 400 characters of it."""
    MUMATH = "mumath"
    """Ours. Compared: all that the program made visible, including what the model didn't get to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCell:
    """A program and what the recording says it printed."""

    code: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSolution:
    """One solution of a recorded run."""

    id: str
    """The recording's own id, else file name and line number."""
    question: str
    target: str | None
    """None: the recording knows no gold answer."""
    runtime: Runtime
    settings: Settings
    """What it was made with, as far as that is known."""
    cells: tuple[RecordedCell, ...]
    turns: tuple[Completion, ...]
    """What the model wrote from one output to the next, with the marks of its dialect. A count of 0 is unknown."""
    answer: str | None
    """The final answer where the recording's own project looks for it."""
    restarts: tuple[int, ...] = ()
    """Positions of the cells, from 0, before which the recorded session was lost, as far as that is known."""

    def session(self, timeout_s: float) -> Session:
        """Return its programs, to be run again with this limit each."""
        return Session(
            id=self.id,
            programs=tuple(cell.code for cell in self.cells),
            limits=replace(self.settings.limits, cell_timeout_s=timeout_s),
            fresh_cells=self.settings.fresh_cells,
            rebuild_state=self.settings.rebuild_state,
            restarts=self.restarts,
        )


_TORA = Settings(
    model="tora",
    dialect="fenced",
    limits=Limits(max_turns=4, output_chars=400, max_recoveries=4),
    sampling=Sampling(),
    fresh_cells=True,
)
_MATHCODER = Settings(
    model="mathcoder",
    dialect="blocks",
    # Up to 32 blocks. Outputs went to the model uncut; sessions were never given up.
    limits=Limits(max_turns=32, output_chars=1_000_000, cell_timeout_s=6.0, wall_s=3600.0, max_recoveries=32),
    sampling=Sampling(),
)
_ANSWER_CHARS = 200


def load_recorded(path: Path) -> Iterator[RecordedSolution | InputError]:
    """Yield the solutions of a file or of a run's folder, with an error in the place of each unusable line.

    Raises:
        InputError: the file can't be read.
    """
    file = path / ATTEMPTS if path.is_dir() else path
    for line in read_lines(file):
        yield _solution(line, file)


def answer_rule(runtime: Runtime) -> AnswerOf:
    """Return the rule by which a project finds the final answer of a solution that came to its end."""
    return _last_block_answer if runtime is Runtime.MATHCODER else extract_answer


def _last_block_answer(transcript: Transcript) -> Answer | None:
    answer = _slot(last_block(transcript))
    return Answer(text=answer, found_in=AnswerSource.PHRASE) if answer else None


def _slot(block_text: str) -> str | None:
    """Return the answer in MathCoder's last block: the first box, else all of it, unless that is prose."""
    if boxes := boxed_answers(block_text):
        return boxes[0]
    text = block_text.strip()
    return text if 0 < len(text) <= _ANSWER_CHARS else None


def _solution(line: Line, path: Path) -> RecordedSolution | InputError:
    try:
        row = json.loads(line.text)
        if "trajectory" in row:
            return _mumath(from_json(RunRecord, row))
        return _mathcoder(row, f"{path.stem}:{line.number}") if "debug_result" in row else _tora(row)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, InputError) as error:
        what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return InputError(
            f"{path} line {line.number} isn't a recorded solution of MathCoder, ToRA or a run ({what}); left out"
        )


def _mathcoder(row: dict[str, Any], position: str) -> RecordedSolution:
    blocks = [(block["role"], str(block["content"])) for block in row["debug_result"]]
    return RecordedSolution(
        id=str(row.get("id", position)),
        question=next(content for role, content in blocks if role == "user"),
        target=str(row["ground_truth"]["answer"]),
        runtime=Runtime.MATHCODER,
        settings=_MATHCODER,
        cells=tuple(
            RecordedCell(code=code, output=output)
            for (role, code), (next_role, output) in pairwise(blocks)
            if (role, next_role) == ("code", "execution")
        ),
        turns=tuple(map(_completion, _block_turns(blocks))),
        answer=_slot(str(row["completion"])),
    )


def _block_turns(blocks: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the model's blocks, joined from one execution to the next."""
    turn = ""
    for role, content in blocks:
        if role == "execution":
            yield turn
            turn = ""
        elif role in ("text", "code"):
            turn += block(role, content)
    if turn:
        yield turn


def _tora(row: dict[str, Any]) -> RecordedSolution:
    solution = Transcript(question=row["question"], segments=Fenced().parse(row["code"][0]))
    return RecordedSolution(
        id=f"tora:{row['idx']}",
        question=row["question"],
        target=str(row["gt"]),
        runtime=Runtime.TORA,
        settings=_TORA,
        cells=tuple(
            RecordedCell(code=program, output=output.text.removesuffix("\n").removesuffix("```"))
            for code, output in pairwise(solution.segments)
            if output.kind is Kind.OUTPUT
            # One segment at a time: ToRA ran only the last program of a turn.
            if (program := Fenced().pending_code(Transcript(question="", segments=(code,)))) is not None
        ),
        turns=tuple(
            _completion(
                "".join(s.text for s in turn if s.kind is not Kind.OUTPUT).removesuffix("```output\n")
            )
            for turn in solution.turns
        ),
        answer=str(next(iter(row.get("pred") or ()), "")) or None,
    )


def _mumath(record: RunRecord) -> RecordedSolution:
    attempt, problem = record.trajectory, record.problem
    if attempt.stop_reason in BROKEN:
        raise InputError(f"machinery ended the attempt: {attempt.error}")
    session = session_of(record)
    return RecordedSolution(
        id=session.id,
        question=problem.question,
        target=problem.target,
        runtime=Runtime.MUMATH,
        settings=record.settings,
        cells=tuple(
            RecordedCell(code=code, output=visible_text(execution)) for code, execution in session.cells
        ),
        turns=attempt.completions,
        answer=attempt.answer.text if attempt.answer else None,
        restarts=restarts_of(session.cells),
    )


def _completion(text: str) -> Completion:
    return Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=0, completion_tokens=0)
