"""Find the faults of an attempt that don't depend on its answer: it isn't whole, or its outputs aren't real.

Debugging isn't a fault: a program that failed and the one that mends it stay in the text, as MuMath-Code trains them.
An output is real if it is, byte for byte, what the dialect writes for the recorded execution. Outputs are looked for in
the text, parsed anew, because that is where the loss mask will find them.
"""

from finetune.data.select.reasons import Fault, Reason
from mumath_agent.protocols import Dialect
from mumath_agent.records import BROKEN, Execution, ExecutionStatus, StopReason, Trajectory
from mumath_agent.transcript import Kind, Segment, Transcript

_FENCE = "```"


def fault_of(trajectory: Trajectory, dialect: Dialect, *, output_chars: int) -> Fault | None:
    """Return the first fault, or None; `output_chars` is the limit the attempt was made under."""
    stop = trajectory.stop_reason
    if stop in BROKEN:
        return Fault(reason=Reason.BROKEN, detail=trajectory.error or stop.value)
    if stop not in (StopReason.ANSWERED, StopReason.NO_ANSWER):
        return Fault(reason=Reason.UNFINISHED, detail=stop.value)
    if any(segment.kind is Kind.NOTE for segment in trajectory.transcript.segments):
        return Fault(reason=Reason.NUDGED)
    segments = dialect.parse(trajectory.transcript.text)
    if not all(segment.closed for segment in segments):
        return Fault(reason=Reason.UNFINISHED, detail="a block without an end")
    if trajectory.answer is None:
        return Fault(reason=Reason.NO_ANSWER)
    return _program_fault(segments, trajectory.executions, dialect, output_chars)


def _program_fault(
    segments: tuple[Segment, ...], executions: tuple[Execution, ...], dialect: Dialect, output_chars: int
) -> Fault | None:
    shown = [segment.text for segment in segments if segment.kind is Kind.OUTPUT]
    real = [_output(execution, dialect, output_chars) for execution in executions]
    if shown != real:
        detail = f"{len(shown)} in the text, {len(real)} executed" if len(shown) != len(real) else "altered"
        return Fault(reason=Reason.INVENTED_OUTPUT, detail=detail)
    if (where := _unexecuted(segments)) is not None:
        return Fault(reason=Reason.UNEXECUTED, detail=where)
    if executions and all(execution.status is not ExecutionStatus.OK for execution in executions):
        return Fault(reason=Reason.ERROR_ONLY, detail=executions[-1].status.value)
    return None


def _output(execution: Execution, dialect: Dialect, output_chars: int) -> str:
    return dialect.with_output(Transcript(question=""), execution, max_chars=output_chars).text


def _unexecuted(segments: tuple[Segment, ...]) -> str | None:
    """Return where a program stands that wasn't run. A turn's programs run together, when its output is asked for."""
    last_turn = Transcript(question="", segments=segments).turns[-1]
    if last_turn[-1].kind is not Kind.OUTPUT and any(s.kind is Kind.CODE for s in last_turn):
        return "in the last turn"
    prose = (segment.text for segment in segments if segment.kind is Kind.RATIONALE)
    if any(line.lstrip().startswith(_FENCE) for text in prose for line in text.split("\n")):
        return "a fenced block in the prose"
    return None
