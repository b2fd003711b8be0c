"""Keep an attempt in tokens: token in, token out, so that what is trained is exactly what was written.

    prompt ─▶ ids ─▶ the model writes ids ─▶ the text they stand for ─▶ transcript
                └─ and what the transcript has besides (an output), in ids ◀─┘

The ids are the truth and the text follows from them. A token belongs to the model if it wrote it and the transcript
kept it; what a dialect or a kernel put there is tokenised as it would be within the whole text, if that text begins
with the ids so far, else by itself. The mask is that of training: no token that touches an OUTPUT or a NOTE counts.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tokenizers import Tokenizer

from mumath_agent.errors import InputError, ModelError, ModelMisconfigured
from mumath_agent.models import as_text
from mumath_agent.models.stopping import TextUntilStop
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason
from mumath_agent.transcript import Transcript

_BEFORE = ("\n", "x", "")
"""Texts in front of which a piece may be tokenised: SentencePiece puts a space before the first word of a text."""
_NO_CHARACTER = "\N{REPLACEMENT CHARACTER}"


class TokensDiffer(ModelError):
    """Token ids, mask, log-probabilities and text don't belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens of a solution; all three are of equal length, and the ids decode to the solution's text."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """0.0 where `written` is False."""
    written: tuple[bool, ...]
    """Whether the model wrote the token."""
    text: str
    """The solution."""


def tokenizer_of(given: Tokenizer | Path | str) -> Tokenizer:
    """Return a tokenizer that neither cuts nor pads: a copy of the given one, or that of a model's folder or file.

    Raises:
        InputError: there is none.
    """
    if isinstance(given, Path | str):
        path = Path(given)
        path = path / "tokenizer.json" if path.is_dir() else path
        if not path.is_file():
            raise InputError(f"there is no tokenizer at {path}; name a model's folder or its tokenizer.json")
        given = Tokenizer.from_file(str(path))
    if not isinstance(given, Tokenizer):
        raise InputError(f"tokenizer is {given!r}; it must be a model's folder or a tokenizers.Tokenizer")
    own = Tokenizer.from_str(given.to_str())
    own.no_truncation()
    own.no_padding()
    return own


def special_tokens(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return the special tokens that a program could print; a single character can't be broken."""
    added = tokenizer.get_added_tokens_decoder().values()
    texts = (token.content.strip() for token in added if token.special)
    return tuple(text for text in texts if len(text) > 1)


class TokenRecorder:
    """A `CompletionModel` for one attempt, which sends ids to another one and remembers who wrote which token."""

    def __init__(self, model: CompletionModel, tokenizer: Tokenizer) -> None:
        """Take a model for raw text that tells ids, and its tokenizer (see `tokenizer_of`)."""
        self._model = model
        self._tokenizer = tokenizer
        self._prompt = ""
        self.prompt_ids: tuple[int, ...] = ()
        """The ids of the attempt's first prompt; empty before it."""
        self._ids, self._logprobs, self._written = list[int](), list[float](), list[bool]()
        self._turn: Completion | None = None
        """What was written last, without its end token, while the transcript hasn't shown what it kept of it."""
        self._end: tuple[int, float] | None = None
        """The end token of the last turn."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    async def warm_up(self) -> None:
        """Warm the model up."""
        await self._model.warm_up()

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the ids that the prompt has been so far; see `CompletionModel.complete`.

        Raises:
            ModelMisconfigured: the model tells no ids, or they are of another tokenizer.
            TokensDiffer: the prompt can't be had in ids.
        """
        self._take(as_text(request.prompt, self.name))
        sent = (*self.prompt_ids, *self._ids)
        answer = await self._model.complete(replace(request, tokens=True, prompt_ids=sent), on_text)
        self._turn, self._end = self._checked(answer, request.stop)
        return replace(self._turn, token_ids=answer.token_ids, token_logprobs=answer.token_logprobs)

    async def aclose(self) -> None:
        """Close the model."""
        await self._model.aclose()

    def tokens(self, transcript: Transcript | None = None) -> Tokens:
        """Return the tokens of the transcript that the attempt came to; without one, those that are certain.

        Raises:
            TokensDiffer: they don't decode to it.
        """
        if transcript is not None and self.prompt_ids:
            end = self._end
            kept_all = self._take(self._prompt + transcript.text)
            if kept_all and end is not None:
                self._append([end[0]], [end[1]], written=True)
            self._mask(transcript)
        return Tokens(
            ids=tuple(self._ids),
            logprobs=tuple(self._logprobs),
            written=tuple(self._written),
            text=transcript.text if transcript is not None else self._text(),
        )

    def _take(self, text: str) -> bool:
        """Bring the ids to where the prompt's text is; return whether the last turn stands at its end, whole."""
        if not self.prompt_ids:
            self._prompt, self.prompt_ids = text, tuple(self._tokenizer.encode(text).ids)
            return False
        turn, self._turn, self._end = self._turn, None, None
        solution = text.removeprefix(self._prompt)
        ids = turn.token_ids or () if turn else ()
        kept = self._kept(ids, solution)
        self._append(ids[:kept], (turn.token_logprobs or () if turn else ())[:kept], written=True)
        if is_more := self._text() != solution:
            rest = self._in_ids(solution)
            self._append(rest, [0.0] * len(rest), written=False)
        return turn is not None and kept == len(ids) and not is_more

    def _append(self, ids: Sequence[int], logprobs: Sequence[float], *, written: bool) -> None:
        self._ids += ids
        self._logprobs += logprobs
        self._written += [written] * len(ids)

    def _text(self) -> str:
        """Return the text of the ids after the prompt."""
        return self._after(self._ids, [])

    def _after(self, ids: Sequence[int], before: Sequence[int]) -> str:
        """Return the text of the ids that stand after the prompt and after those of them that are `before`."""
        begin, whole = self._whole(before), self._whole(ids)
        if not whole.startswith(begin):  # a byte that isn't text takes the bytes before it along
            raise TokensDiffer(f"the model wrote bytes that aren't text after {begin[-20:]!r}")
        return whole[len(begin) :]

    def _whole(self, ids: Sequence[int]) -> str:
        # With the prompt: what a token stands for can depend on whether it is the first.
        return self._tokenizer.decode([*self.prompt_ids, *ids], skip_special_tokens=False)

    def _kept(self, ids: Sequence[int], solution: str) -> int:
        """Return how many of the ids that were written the solution begins with, after those it has already."""
        wanted, kept = self._whole([]) + solution, len(ids)
        while kept and not wanted.startswith(self._whole([*self._ids, *ids[:kept]])):
            kept -= 1  # mostly the stop string, or white space that the dialect drops
        return kept

    def _in_ids(self, solution: str) -> list[int]:
        """Return the ids of what the solution has more than the ids so far."""
        so_far = [*self.prompt_ids, *self._ids]
        whole = self._tokenizer.encode(self._prompt + solution).ids
        ways = [whole[len(so_far) :]] if whole[: len(so_far)] == so_far else []
        rest = solution.removeprefix(self._text())
        for before in _BEFORE:
            anchor, both = (
                self._tokenizer.encode(text, add_special_tokens=False).ids for text in (before, before + rest)
            )
            ways += [both[len(anchor) :]] if both[: len(anchor)] == anchor else []
        wanted = self._whole([]) + solution
        found = next((ids for ids in ways if self._whole([*self._ids, *ids]) == wanted), None)
        if found is None:
            raise TokensDiffer(
                f"the tokenizer has no ids that are {rest[:40]!r} after those of {self._text()[-40:]!r}"
            )
        return found

    def _checked(
        self, answer: Completion, stop: tuple[str, ...]
    ) -> tuple[Completion, tuple[int, float] | None]:
        """Return a completion without its end token, its text that of its ids, and the end token."""
        ids, logprobs = answer.token_ids or (), answer.token_logprobs or ()
        if not ids and answer.text:
            raise ModelMisconfigured(
                f"{self.name} tells no token ids; use the embedded engine, or a vLLM of 0.10.2 or newer"
            )
        if len(ids) != len(logprobs):
            raise TokensDiffer(f"{self.name} gave {len(ids)} token ids and {len(logprobs)} log-probabilities")
        text, end = TextUntilStop(stop), None
        text.add(self._after([*self._ids, *ids], self._ids))
        ended = answer.finish_reason is FinishReason.STOP and not text.stopped
        if ids and ended and not _same(text.text, answer.text):
            end, ids, logprobs = (ids[-1], logprobs[-1]), ids[:-1], logprobs[:-1]
            text = TextUntilStop(stop)
            text.add(self._after([*self._ids, *ids], self._ids))
        if not _same(text.text, answer.text) and not self._may_differ(ids, text.text):
            raise ModelMisconfigured(
                f"{self.name} wrote {answer.text[-40:]!r}, but the tokenizer reads {text.text[-40:]!r} in its token "
                "ids; give the tokenizer of the model that is served"
            )
        return replace(answer, text=text.text, token_ids=ids, token_logprobs=logprobs), end

    def _may_differ(self, ids: Sequence[int], text: str) -> bool:
        """Whether a server may have left something out of the text: half a character, or a special token."""
        added = self._tokenizer.get_added_tokens_decoder()
        return _NO_CHARACTER in text or any(token in added and added[token].special for token in ids)

    def _mask(self, transcript: Transcript) -> None:
        """Take back each token that touches what isn't trained: an output, although the model wrote it."""
        numbers, begin = range(len(self._ids) + 1), len(self._whole([]))

        def length(number: int) -> int:
            # Without half a character, which may look longer than the whole one.
            return len(self._whole(self._ids[:number]).rstrip(_NO_CHARACTER)) - begin

        for span in transcript.spans:
            if span.trained:
                continue
            first = bisect_left(numbers, span.start, key=length)
            first -= first > 0 and length(first) > span.start
            for number in range(first, min(bisect_left(numbers, span.end, key=length), len(self._ids))):
                self._written[number], self._logprobs[number] = False, 0.0


def _same(one: str, other: str) -> bool:
    """Whether two texts are equal but for the space that SentencePiece puts before the first word of a text."""
    return one.lstrip(" ") == other.lstrip(" ")


__all__ = ["TokenRecorder", "Tokens", "TokensDiffer", "tokenizer_of"]
