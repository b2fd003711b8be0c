"""Write several completions together: in each step of the engine, every one of them grows by a token.

    waiting ─▶ a free slot, which reads the prompt ─▶ step, step, … ─▶ its result, and the slot is free

A free slot keeps its sequence. When the next prompt of the same attempt begins with it, as it does after a program ran,
only what is new is read. Where tokens are asked for, as rollouts do, the whole prompt is: log-probabilities are then
equal to the last bit whatever is written beside them. Nothing else is shared between prompts, so an answer hardly
depends on what was asked before (rounding can still differ: what was read at once and what was written token by token
aren't equal in the last bit).
"""

from collections import deque
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, takewhile
from pathlib import Path

from mumath_agent.errors import ModelError, ModelRefused
from mumath_agent.models.calibration import TAIL_TOKENS
from mumath_agent.models.context import nothing_fits
from mumath_agent.models.embedded_engine import SLOTS, Engine, Logits, decoder
from mumath_agent.models.sampling import chooser
from mumath_agent.models.stopping import TextUntilStop, new_text_only
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason


@dataclass(eq=False)
class Writing:
    """A completion that somebody waits for. Whoever wants it no longer gives `result` an outcome."""

    prompt: str
    request: CompletionRequest
    on_text: OnText
    """Gets each piece of text that can no longer be part of a stop string, in the engine's thread."""
    result: Future[Completion] = field(default_factory=Future)


class Writer:
    """A thread that loads a model and writes what it is asked for, until it is closed."""

    def __init__(self, folder: Path) -> None:
        """Take the model's folder; nothing is loaded yet."""
        self._folder = folder
        self._waiting: deque[Writing] = deque()
        self._live: set[Writing] = set()
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mumath-embedded")

    def load(self) -> Future[object]:
        """Load the model."""
        return self._thread.submit(lambda: self._closed or self._batch)

    def begin(self, writing: Writing) -> None:
        """Write a completion as soon as there is room."""
        self._live.add(writing)
        writing.result.add_done_callback(lambda _: self._live.discard(writing))
        self._waiting.append(writing)
        self._thread.submit(self._write)

    def close(self) -> None:
        """End the thread and free the model. What isn't finished ends with a ModelError."""
        self._closed = True  # what the thread still has to do isn't worth loading the model for
        self._end_all(ModelError("the embedded model was closed while it answered"))
        self._thread.shutdown(wait=False)
        self.__dict__.pop("_batch", None)

    def _write(self) -> None:
        if self._closed:
            return
        try:
            self._batch.run(self._waiting)
        except Exception as error:  # whoever waits gets it
            self._end_all(error)

    def _end_all(self, error: Exception) -> None:
        for writing in tuple(self._live):
            with suppress(InvalidStateError):
                writing.result.set_exception(error)

    @cached_property
    def _batch(self) -> "_Batch":
        return _Batch(Engine(self._folder))


class _Batch:
    """An engine's slots, and what is written in them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._slots = [_Slot(engine, index) for index in range(SLOTS)]
        self._turns = count()

    def run(self, waiting: deque[Writing]) -> None:
        """Write what is waiting, and what comes to it in the meantime, until nothing is left."""
        while True:
            free = [slot for slot in self._slots if not slot.is_busy]
            while waiting and free:
                self._begin(waiting.popleft(), free)
                free = [slot for slot in self._slots if not slot.is_busy]
            if len(free) == len(self._slots):
                return
            self._step()

    def _begin(self, writing: Writing, free: list["_Slot"]) -> None:
        if writing.result.done():
            return
        if writing.request.prompt_ids is None:
            ids = self._engine.tokenizer.encode(writing.prompt, add_special_tokens=False).ids
        else:
            ids = list(writing.request.prompt_ids)
        if not ids:
            error = ModelRefused("the prompt is empty; the embedded model needs at least one token")
            writing.result.set_exception(error)
        elif len(ids) >= self._engine.context_tokens:
            writing.result.set_result(nothing_fits(len(ids)))
        else:
            slot = max(free, key=lambda slot: (slot.known_of(ids), -slot.last_used))
            slot.last_used = next(self._turns)
            slot.begin(writing, ids)

    def _step(self) -> None:
        busy = [slot.index for slot in self._slots if slot.is_busy]
        slots = self._slots[busy[0] : busy[-1] + 1]
        # Free slots in between are computed too, behind their sequences, and what comes out is left there.
        lengths = [min(len(slot.ids) + 1, self._engine.context_tokens) for slot in slots]
        rows = self._engine.step(busy[0], [slot.next_id for slot in slots], lengths)
        for slot, logits in zip(slots, rows, strict=True):
            if slot.is_busy:
                slot.ids.append(slot.next_id)
                slot.choose_next(logits)


class _Slot:
    """A place in the engine, with the completion that is written there."""

    def __init__(self, engine: Engine, index: int) -> None:
        self._engine = engine
        self.index = index
        self.ids: list[int] = []
        """The tokens of its sequence: those of the last prompt, and what was written after it."""
        self.next_id = 0
        """Chosen, and not in the sequence yet."""
        self.last_used = -1
        self._prompt_tokens = 0
        self._writing: Writing | None = None

    @property
    def is_busy(self) -> bool:
        """Whether somebody still waits for what is written here."""
        return self._writing is not None and not self._writing.result.done()

    def known_of(self, ids: list[int]) -> int:
        """Return how many tokens of a prompt needn't be read again, which is 0 unless it goes on from the last one."""
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ids, self.ids, strict=False)))
        return min(same, len(ids) - 1) if 0 < self._prompt_tokens <= same and len(ids) > same else 0

    def begin(self, writing: Writing, ids: list[int]) -> None:
        known = 0 if writing.request.tokens else self.known_of(ids)
        self.ids, self._prompt_tokens, self._writing = ids, len(ids), writing
        self._text, self._tell = TextUntilStop(writing.request.stop), new_text_only(writing.on_text)
        self._decode = decoder(self._engine.tokenizer)
        self._choose, self._logprobs = chooser(writing.request.sampling), list[float]()
        self.choose_next(self._engine.read(self.index, ids[known:], after=known))

    def choose_next(self, logits: Logits) -> None:
        self.next_id, logprob = self._choose(logits)
        self._logprobs.append(logprob)
        self._text.add(self._decode(self.next_id))
        self._tell(self._text.settled)
        assert self._writing is not None
        written = len(self.ids) + 1 - self._prompt_tokens
        if self._text.stopped or self.next_id in self._engine.eos_ids:
            self._end(FinishReason.STOP, written)
        elif written >= self._writing.request.max_tokens or len(self.ids) + 1 >= self._engine.context_tokens:
            self._end(FinishReason.LENGTH, written)

    def _end(self, reason: FinishReason, written: int) -> None:
        assert self._writing is not None
        self._tell(self._text.text)
        request = self._writing.request
        completion = Completion(
            text=self._text.text,
            finish_reason=reason,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=written,
            logprob=sum(self._logprobs),
            token_ids=(*self.ids[self._prompt_tokens :], self.next_id) if request.tokens else None,
            token_logprobs=tuple(self._logprobs) if request.tokens else None,
            tail_logprobs=tuple(self._logprobs[-TAIL_TOKENS:]) if request.logprobs else None,
        )
        with suppress(InvalidStateError):  # it was cancelled just now
            self._writing.result.set_result(completion)
