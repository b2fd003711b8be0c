"""Show what a model will be taught by a file of rows: counts, warnings, and examples with the trained text marked.

    rows ─┬─ mask         which tokens are trained; a slip is silent and costs a training run
          └─ prefix check whether the ids of each turn's prompt, as served, begin the ids that are trained on

The prefix check: a server gets each turn's prompt as text and tokenises it from its beginning, but the model was
trained on the ids of the whole text. Where a tokenizer merges across the end of a prompt, the two differ, and the model
is served ids that it has never seen. Such prefixes are reported, not mended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from rich.text import Text
from transformers import PreTrainedTokenizerFast

from finetune.training.encode import UNTRAINED, Encoded, Row, characters, encode, whole_text
from mumath_agent.protocols import TextDialect
from mumath_agent.transcript import Kind, Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Counts over a file. All but the first two and the last two are about the rows that are kept."""

    rows: int
    too_long: int
    """Rows that are dropped for having more than `max_tokens` tokens."""
    tokens: int
    trained_tokens: int
    rows_without_trained_token: int
    rows_with_untrained_end: int
    """Rows whose end token isn't trained: the model won't learn when to stop."""
    requests: int
    """Programs that ask for their output."""
    untrained_requests: int
    """Programs whose stop string ("```output", say) isn't wholly trained: the model won't learn to ask."""
    broken_prefixes: int
    """Prompts whose ids, as served, don't begin the ids that are trained on."""
    longest: tuple[tuple[int, int], ...]
    """Tokens and line number of the longest rows, the too long ones included."""
    histogram: tuple[tuple[int, int], ...]
    """Upper bounds of tokens, and the number of rows up to each that are over the previous one."""

    @property
    def masked_share(self) -> float:
        """Share of the tokens that aren't trained."""
        return 1 - self.trained_tokens / self.tokens if self.tokens else 0.0

    @property
    def summary(self) -> str:
        """The counts in one line."""
        return f"{self.rows} rows, {self.tokens} tokens, {100 * self.masked_share:.1f} % of them masked"

    @property
    def warnings(self) -> tuple[str, ...]:
        """The problems that should be mended before training."""
        found = (
            (self.too_long, "rows are too long and will be dropped; raise max_tokens or shorten them"),
            (self.rows_without_trained_token, "rows teach nothing: none of their tokens is trained"),
            (self.rows_with_untrained_end, "rows don't teach their end token"),
            (self.untrained_requests, "programs don't teach the stop string that asks for their output"),
            (self.broken_prefixes, "prompts are tokenised differently when served than when trained"),
        )
        return tuple(f"{count} {what}" for count, what in found if count)


def audit(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast, dialect: TextDialect, *, max_tokens: int
) -> Audit:
    """Return the counts over all rows."""
    everything, _ = encode(rows, tokenizer, dialect, max_tokens=2**31)
    lengths = [len(row.ids) for row in everything]
    numbers = [number for number, length in enumerate(lengths) if length <= max_tokens]
    kept = [everything[number] for number in numbers]
    requests = [request for n in numbers for request in _requests(rows[n], everything[n], tokenizer, dialect)]
    return Audit(
        rows=len(rows),
        too_long=len(rows) - len(kept),
        tokens=sum(len(row.ids) for row in kept),
        trained_tokens=sum(int((row.labels != UNTRAINED).sum()) for row in kept),
        rows_without_trained_token=sum(not (row.labels != UNTRAINED).any() for row in kept),
        rows_with_untrained_end=sum(int(row.labels[-1]) != tokenizer.eos_token_id for row in kept),
        requests=len(requests),
        untrained_requests=requests.count(False),
        broken_prefixes=len(broken_prefixes([rows[number] for number in numbers], tokenizer, dialect)),
        longest=tuple(sorted(((length, n + 1) for n, length in enumerate(lengths)), reverse=True)[:5]),
        histogram=_histogram(lengths),
    )


def marked(row: Row, encoded: Encoded, tokenizer: PreTrainedTokenizerFast, dialect: TextDialect) -> Text:
    """Return the whole text of a row with the trained parts in green and, for those without colour, in ⟦⟧."""
    whole, text, start = whole_text(row, tokenizer, dialect), Text(), 0
    for trained, run in groupby(_trained(whole, encoded, tokenizer)):
        end = start + len(list(run))
        text.append(*((f"⟦{whole[start:end]}⟧", "green") if trained else (whole[start:end], "dim")))
        start = end
    return text


def broken_prefixes(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast, dialect: TextDialect
) -> list[tuple[int, str]]:
    """Return the prompts whose ids don't begin the ids of their row's whole text, as row number and prompt."""
    broken: list[tuple[int, str]] = []
    for number, row in enumerate(rows):
        prompts = list(served_prompts(row, dialect))
        whole, *served = tokenizer([whole_text(row, tokenizer, dialect), *prompts])["input_ids"]
        broken += [
            (number, prompt) for prompt, ids in zip(prompts, served, strict=True) if whole[: len(ids)] != ids
        ]
    return broken


def served_prompts(row: Row, dialect: TextDialect) -> Iterator[str]:
    """Yield the prompt of each turn: the one before the solution, and one after every OUTPUT but a last one."""
    whole = Transcript(question=row.question)
    yield dialect.prompt(whole)
    segments = dialect.parse(row.solution)
    for segment in segments[:-1]:
        whole = whole.extended(segment)
        if segment.kind is Kind.OUTPUT:
            yield dialect.prompt(whole)


def _requests(
    row: Row, encoded: Encoded, tokenizer: PreTrainedTokenizerFast, dialect: TextDialect
) -> Iterator[bool]:
    """Yield, for each program that asks for its output, whether the whole stop string it asks with is trained."""
    whole = whole_text(row, tokenizer, dialect)
    trained = _trained(whole, encoded, tokenizer)
    end = len(dialect.prompt(Transcript(question=row.question)))
    for segment in dialect.parse(row.solution):
        end += len(segment.text)
        asked = segment.text.rstrip()
        stop = next((stop for stop in dialect.stop if asked.endswith(stop)), None)
        if segment.kind is Kind.CODE and stop is not None:
            last = end - len(segment.text) + len(asked)
            yield all(trained[last - len(stop) : last])


def _trained(whole: str, encoded: Encoded, tokenizer: PreTrainedTokenizerFast) -> list[bool]:
    """Return, for each character, whether all of its tokens are trained."""
    offsets = tokenizer(whole, return_offsets_mapping=True)["offset_mapping"]
    trained = [True] * len(whole)
    for (start, end), label in zip(characters(offsets), encoded.labels, strict=True):
        if label == UNTRAINED:
            trained[start:end] = [False] * (end - start)
    return trained


def _histogram(lengths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Count rows by length, in bins that double."""
    bounds = [64 << power for power in range(max(1, max(lengths, default=1) // 32).bit_length())]
    counts = [sum(low < length <= high for length in lengths) for low, high in pairwise([0, *bounds])]
    return tuple((bound, count) for bound, count in zip(bounds, counts, strict=True))
