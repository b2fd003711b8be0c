"""What a model will really be taught by a file of rows: counts, warnings, and examples with the trained text marked.

A slip of the mask is silent and costs a training run. This is what one looks at before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from rich.text import Text
from transformers import PreTrainedTokenizerFast

from finetune.training.encode import UNTRAINED, Encoded, Row, characters, encode, whole_text
from finetune.training.prefix_check import broken_seams
from mumath_agent.protocols import TextDialect
from mumath_agent.transcript import Kind, Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Counts over a file."""

    rows: int
    too_long: int
    """Dropped, with more than `max_tokens` tokens."""
    tokens: int
    """Of the rows that are kept, as are all counts below."""
    trained_tokens: int
    rows_without_trained_token: int
    rows_with_untrained_end: int
    """Their last token, the one that ends a solution, is not learned: the model won't know when to stop."""
    requests: int
    """Programs that ask for their output."""
    untrained_requests: int
    """Their stop string ("```output", say) is not learned wholly: the model won't ask by itself."""
    broken_seams: int
    """Prompts whose ids, as served, don't begin the ids that are trained on."""
    longest: tuple[tuple[int, int], ...]
    """Tokens and line number of the longest rows, the too long ones included."""
    histogram: tuple[tuple[int, int], ...]
    """Upper bounds of tokens, and the rows up to each that are over the one before."""

    @property
    def masked_share(self) -> float:
        return 1 - self.trained_tokens / self.tokens if self.tokens else 0.0

    @property
    def summary(self) -> str:
        """The counts in one line."""
        return f"{self.rows} rows, {self.tokens} tokens, {100 * self.masked_share:.1f} % of them masked"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be mended before training."""
        found = (
            (self.too_long, "rows are too long and will be dropped; raise max_tokens or shorten them"),
            (self.rows_without_trained_token, "rows teach nothing: no token of theirs is trained"),
            (self.rows_with_untrained_end, "rows don't teach their end token"),
            (self.untrained_requests, "programs don't teach the stop string that asks for their output"),
            (self.broken_seams, "prompts are tokenised otherwise when served than when trained"),
        )
        return tuple(f"{count} {what}" for count, what in found if count)


def audit(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast, dialect: TextDialect, *, max_tokens: int
) -> Audit:
    """Look at every row."""
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
        broken_seams=len(broken_seams([rows[number] for number in numbers], tokenizer, dialect)),
        longest=tuple(sorted(((length, n + 1) for n, length in enumerate(lengths)), reverse=True)[:5]),
        histogram=_histogram(lengths),
    )


def marked(row: Row, encoded: Encoded, tokenizer: PreTrainedTokenizerFast, dialect: TextDialect) -> Text:
    """The whole text of a row; what is trained is green and stands between ⟦ and ⟧, also where there is no colour."""
    whole, text, start = whole_text(row, tokenizer, dialect), Text(), 0
    for trained, run in groupby(_trained(whole, encoded, tokenizer)):
        end = start + len(list(run))
        text.append(*((f"⟦{whole[start:end]}⟧", "green") if trained else (whole[start:end], "dim")))
        start = end
    return text


def _requests(
    row: Row, encoded: Encoded, tokenizer: PreTrainedTokenizerFast, dialect: TextDialect
) -> Iterator[bool]:
    """For each program that asks for its output, whether the stop string it asks with is trained, all of it."""
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
    """For each character, whether all of its tokens are trained."""
    offsets = tokenizer(whole, return_offsets_mapping=True)["offset_mapping"]
    trained = [True] * len(whole)
    for (start, end), label in zip(characters(offsets), encoded.labels, strict=True):
        if label == UNTRAINED:
            trained[start:end] = [False] * (end - start)
    return trained


def _histogram(lengths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Rows by length, in bins that double."""
    bounds = [64 << power for power in range(max(1, max(lengths, default=1) // 32).bit_length())]
    counts = [sum(low < length <= high for length in lengths) for low, high in pairwise([0, *bounds])]
    return tuple((bound, count) for bound, count in zip(bounds, counts, strict=True))
