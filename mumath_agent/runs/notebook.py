"""Write a run record as a Jupyter notebook, and read a notebook as the session it tells of.

    record   ──▶ notebook    question and rationale are markdown, programs are code cells with what they really gave
    notebook ──▶ session     the programs that were run, in order, and what each gave

A notebook keeps all of the record but the model's own bytes (the transcript with its marks, token counts). Any notebook
can be read, also one that Jupyter wrote or ran again. Nothing is run here; `replay` does that.
"""

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.output import STATE_LOST
from mumath_agent.errors import InputError
from mumath_agent.kernels.messages import stream_order
from mumath_agent.protocols import ExecutedCell
from mumath_agent.records import Execution, Problem, RunRecord, Settings, from_json, to_json
from mumath_agent.runs.display import readable
from mumath_agent.runs.executed import ExecutedSession, printed, turns_of
from mumath_agent.runs.jsonl import replace_file
from mumath_agent.runs.wording import answer_line, cautions, solution_line, votes_line
from mumath_agent.solutions import Solution
from mumath_agent.transcript import Kind, Segment, Transcript

if TYPE_CHECKING:
    from nbformat import NotebookNode

_OURS = "mumath_agent"
"""The key of what we keep in a notebook's metadata and in that of its code cells."""
_KEPT = ("status", "error", "duration_s", "state_lost", "state_replayed", "edited")
"""The fields of an execution that a cell's outputs can't say."""
_PNG = "data:image/png;base64,"
_STATE_REPLAYED = "[The Python session was restarted, and its programs were run again: nothing is lost.]"
_EDITED = "[A person changed the program before it ran.]"
_ERROR = re.compile(r"(?:line \d+: [^\n]*\n)?([A-Za-z_][\w.]*)(?:: (.*))?", re.DOTALL)
_DEAD = "DeadKernelError"
"""Jupyter's name for what happened."""
_UNSAFE = re.compile(r"[^\w.-]+")
_MAX_NAME_CHARS = 100


def notebook_name(problem: Problem) -> str:
    """Return a file name for the notebook of one problem among many."""
    return f"{_UNSAFE.sub('_', problem.id).lstrip('.')[:_MAX_NAME_CHARS] or '_'}.ipynb"


def write_notebook(record: RunRecord | Solution, path: str | Path) -> None:
    """Write the notebook of an attempt, of several the best one's.

    One that was written before is replaced, anything else is left alone.

    Raises:
        InputError: the file can't be written; see `require_replaceable`.
    """
    text, path = notebook_text(record), Path(path)
    require_replaceable(path)
    # Half a character, which UTF-8 can't hold, becomes the JSON escape that stands for it.
    replace_file(path, text.encode("utf-8", "backslashreplace"))


def require_replaceable(path: Path) -> None:
    """Check that a notebook can be written to `path`: nothing is there, an empty file, or a notebook of ours.

    Raises:
        InputError: it can't; what a person has made isn't overwritten.
    """
    try:
        if not path.parent.is_dir():
            raise InputError(f"can't write the notebook {path}: there is no folder {path.parent}")
        if path.exists() and not path.is_file():
            raise InputError(f"can't write the notebook {path}: it isn't a file; name another one")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InputError(f"can't write the notebook {path}: {os.strerror(errno.EACCES)}")
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"can't write the notebook {path}: {error.strerror}") from None
    if content and not _is_ours(content):
        raise InputError(
            f"{path} wasn't written by mumath-agent and isn't overwritten; move it, or name another notebook"
        )


def _is_ours(content: bytes) -> bool:
    try:
        return _OURS in json.loads(content)["metadata"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def notebook_text(record: RunRecord | Solution) -> str:
    """Return the notebook of an attempt, valid nbformat 4.5. The same record gives the same text."""
    nbformat = _nbformat()
    shown = record.best if isinstance(record, Solution) else record
    ran = _cells(shown) if shown else ()
    cells = [_markdown(f"**Problem.** {readable(record.problem.question)}"), *ran, _markdown(_ending(record))]
    for number, cell in enumerate(cells, start=1):
        cell["id"] = f"cell-{number}"
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=_metadata(shown))
    return f"{nbformat.writes(notebook)}\n"


def read_notebook(path: str | Path) -> ExecutedSession:
    """Return what the notebook at `path` says was run; cells that never ran are left out.

    Raises:
        InputError: the file can't be read as a notebook.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    nbformat = _nbformat()
    try:
        notebook = nbformat.reads(data.decode(), as_version=4)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code" and _has_run(cell)]
        ours = notebook.metadata.get(_OURS, {})
        settings = from_json(Settings, ours["settings"]) if "settings" in ours else None
        return ExecutedSession(id=path.stem, cells=tuple(map(_ran, cells)), settings=settings)
    except (ValueError, KeyError, AttributeError, TypeError, InputError, nbformat.ValidationError) as error:
        raise InputError(f"{path} isn't a notebook that can be used ({_first_line(error)})") from None


def _nbformat() -> ModuleType:
    """Import nbformat only when a notebook is written or read: most runs need none."""
    import nbformat

    return nbformat


def _metadata(record: RunRecord | None) -> dict[str, Any]:
    ours = to_json(record) if record else {}
    for model_written in ("transcript", "completions", "executions") if record else ():
        del ours["trajectory"][model_written]
    return {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
        _OURS: ours,
    }


def _cells(record: RunRecord) -> Iterator["NotebookNode"]:
    dialect, count = get_dialect(record.settings.dialect), 0
    for turn in turns_of(record):
        ran = turn.cell(dialect)
        if ran is None:  # a program that did not run is shown as text
            yield from map(_markdown, _texts(turn.segments))
            continue
        *made_up, asking = Transcript(question="", segments=turn.written).turns
        for segments in made_up:  # outputs that the model wrote itself
            yield from map(_markdown, _texts(segments))
        yield from map(_markdown, _texts(s for s in asking if s.kind is Kind.RATIONALE))
        count += 1
        yield _code(ran, count)
        yield from map(_markdown, _notices(ran.execution))
        yield from map(_markdown, _texts(filter(None, [turn.note])))


def _notices(execution: Execution) -> Iterator[str]:
    """Say what a reader has to know beside the outputs."""
    if execution.edited is not None:
        yield f"> {_EDITED}"
    if execution.state_lost:
        yield f"> {STATE_LOST}"
    if execution.state_replayed:
        yield f"> {_STATE_REPLAYED}"


def _texts(segments: Iterable[Segment]) -> Iterator[str]:
    """Yield one readable text, unless it is blank."""
    text = "".join(readable(s.text) if s.kind is Kind.RATIONALE else s.text for s in segments)
    if text.strip():
        yield text


def _ending(record: RunRecord | Solution) -> str:
    return "  \n".join(_last_lines(record))


def _last_lines(record: RunRecord | Solution) -> Iterator[str]:
    if isinstance(record, Solution):
        yield f"**{solution_line(record)}**"
        yield votes_line(record)
    else:
        yield f"**{answer_line(record.trajectory)}**"
    if record.verdict is not None:
        yield f"Verdict: {record.verdict.outcome.value.replace('_', ' ')} (target: {record.problem.target})"
    if known := cautions(record):
        yield known
    if shown := record.best if isinstance(record, Solution) else record:
        yield f"Model {shown.settings.model}, isolation {shown.isolation}, mumath-agent {shown.version}"


def _markdown(text: str) -> "NotebookNode":
    cell: NotebookNode = _nbformat().v4.new_markdown_cell(text)
    return cell


def _code(ran: ExecutedCell, count: int) -> "NotebookNode":
    values = to_json(ran.execution)
    cell: NotebookNode = _nbformat().v4.new_code_cell(
        ran.code,
        execution_count=count,
        outputs=list(_outputs(ran.execution, count)),
        metadata={_OURS: {key: values[key] for key in _KEPT if values[key] is not None}},
    )
    return cell


def _outputs(execution: Execution, count: int) -> Iterator["NotebookNode"]:
    """Yield what was printed, in its order; then figures, the value and the error, as a person reads them."""
    new = _nbformat().v4.new_output
    for stream, text in printed(execution):
        yield new("stream", name=stream, text=text)
    for figure in execution.artefacts:
        yield new("display_data", data={"image/png": figure.removeprefix(_PNG)})
    if execution.result is not None:
        yield new("execute_result", data={"text/plain": execution.result}, execution_count=count)
    if execution.error is not None:
        name, message = _name_and_message(execution.error)
        yield new("error", ename=name, evalue=message, traceback=execution.error.split("\n"))


def _name_and_message(error: str) -> tuple[str, str]:
    """Return name and message of the exception an error tells of."""
    found = _ERROR.fullmatch(error)
    return (found[1], found[2] or "") if found else (_DEAD, error)


def _has_run(cell: Any) -> bool:
    return cell.execution_count is not None or bool(cell.outputs)


def _ran(cell: Any) -> ExecutedCell:
    """Return a code cell's program and what it gave; our metadata count as long as the cell was not run again."""
    values: dict[str, Any] = {"status": "ok", "stdout": "", "stderr": "", "artefacts": []}
    error, pieces = None, []
    for output in cell.outputs:
        data = output.get("data", {})
        match output.output_type:
            case "stream":
                values[output.name] += output.text
                pieces.append((output.name, len(output.text)))
            case "display_data" if "text/plain" in data:
                values["stdout"] += (text := f"{data['text/plain']}\n")  # as our kernels print it
                pieces.append(("stdout", len(text)))
            case "execute_result":
                values["result"] = data.get("text/plain", "")
            case "error":
                error = (output.ename, output.evalue)
                values |= {"status": "error", "error": ": ".join(filter(None, error))}
        if "image/png" in data:
            values["artefacts"].append(_PNG + data["image/png"].replace("\n", ""))
    values["stream_order"] = stream_order(pieces)
    kept = cell.metadata.get(_OURS, {})
    if error == (_name_and_message(kept["error"]) if kept.get("error") is not None else None):
        values |= kept
    return ExecutedCell(cell.source, from_json(Execution, values))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
