"""A model that writes the token ids it is dictated, and tells them as an engine does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from mumath_agent.models.stopping import TextUntilStop
from mumath_agent.protocols import CompletionModel, CompletionRequest, Dialect, OnText
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason, Limits
from mumath_agent.transcript import Transcript


@dataclass(kw_only=True)
class Dictated:
    """Each completion is the next ids, up to a stop string; one that doesn't end with `end` is cut by the limit."""

    tokenizer: Tokenizer
    turns: Iterable[Sequence[int]]
    end: int
    name: str = "dictated"
    asked: list[CompletionRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._turns = iter(self.turns)

    async def warm_up(self) -> None: ...

    async def aclose(self) -> None: ...

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        self.asked.append(request)
        assert request.prompt_ids is not None and request.tokens
        written, dictated = list[int](), next(self._turns)
        for token in dictated:
            written.append(token)
            text = TextUntilStop(request.stop)
            text.add(after(self.tokenizer, request.prompt_ids, [one for one in written if one != self.end]))
            if text.stopped or token == self.end:
                break
        ended = text.stopped or written[-1] == self.end
        return Completion(
            text=text.text,
            finish_reason=FinishReason.STOP if ended else FinishReason.LENGTH,
            prompt_tokens=len(request.prompt_ids),
            completion_tokens=len(written),
            token_ids=tuple(written),
            token_logprobs=tuple(-0.5 - number for number in range(len(written))),
        )


async def attempt(
    recorder: CompletionModel, dialect: Dialect, outputs: Sequence[str], *, turns: int
) -> Transcript:
    """Go through an attempt as the agent's loop does; each program prints the next of the outputs."""
    transcript, printed = Transcript(question="How many?"), iter(outputs)
    for _ in range(turns):
        request = CompletionRequest(prompt=dialect.prompt(transcript), stop=dialect.stop, max_tokens=999)
        transcript = dialect.with_completion(transcript, await recorder.complete(request))
        if dialect.pending_code(transcript) is None:
            break
        execution = Execution(status=ExecutionStatus.OK, stdout=next(printed))
        transcript = dialect.with_output(transcript, execution, max_chars=Limits().output_chars)
    return transcript


def token_of(tokenizer: Tokenizer, text: str) -> int:
    """Return the id of a token that there is."""
    found = tokenizer.token_to_id(text)
    assert found is not None
    return found


def after(tokenizer: Tokenizer, prompt: Sequence[int], ids: Sequence[int]) -> str:
    """Return the text of ids that come after others."""
    begin, whole = (tokenizer.decode([*prompt, *more], skip_special_tokens=False) for more in ((), ids))
    return whole.removeprefix(begin)
