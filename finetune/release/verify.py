"""Compare the tokens that all engines write: greedy continuations of the same prompts, token by token.

    exported folder ─┬─ transformers ────┐
                     ├─ embedded engine ─┼─▶ ids of prompt and continuation ─▶ equal, or the first difference
                     └─ vLLM, served ────┘

The others are compared with transformers, which trained the model. Ids of the prompt count as well, since one begin
token too many changes all that follows. A continuation ends with the stop string, the end token, or a number of tokens.
Whether continuations are right doesn't matter here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest

from transformers import PreTrainedTokenizerFast

from finetune.release.engines import Reference, Writer, Written
from mumath_agent.protocols import TextDialect
from mumath_agent.transcript import Transcript

_QUESTIONS = (
    "What is 17 times 23?",
    "Lina has 17 marbles. Tom gives her 25 more marbles. How many marbles does Lina have now?",
    "Each ticket costs $7.50. How much do 4 tickets cost?",
    "Off the tracks: ünïcödé, 3/4 & \\sqrt{2}, 日本, 1e-9 -- and now?",
)
_PROGRAM = "Add.\n```python\nn0 = 14\nn1 = 5\na = n0 + n1\nprint(a)\n```\n"
_SOLUTIONS = (_PROGRAM, f"{_PROGRAM}```output\n19\n```\n")
"""After the first of these comes the output's header, a stop string; after the second, a second turn."""


class End(StrEnum):
    """The end of a continuation."""

    STOP = "stop string"
    END_TOKEN = "end token"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first token that differs."""

    in_prompt: bool
    position: int
    """Counted from 0 in the prompt, or in the continuation."""
    expected: str | None
    """The token of transformers; None if it has ended."""
    found: str | None
    logit_gap: float | None = None
    """Margin by which transformers prefers its own token. A tiny one means that the engines only round differently."""

    def __str__(self) -> str:
        """Describe the difference on one line."""
        where = "prompt token" if self.in_prompt else "token"
        gap = "" if self.logit_gap is None else f", logits {self.logit_gap:.2g} apart"
        return f"{where} {self.position}: {self.found!r}, not {self.expected!r}{gap}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The continuations of one prompt, compared."""

    prompt: str
    tokens: int
    """Tokens that transformers wrote, end included."""
    end: End
    differences: dict[str, Difference | None]
    """One for each engine; None if it wrote the same."""

    @property
    def is_equal(self) -> bool:
        """True if all engines wrote the same."""
        return not any(self.differences.values())

    @property
    def equal_tokens(self) -> int:
        """Tokens before the first that any engine wrote otherwise."""
        found = [one for one in self.differences.values() if one is not None]
        return min((0 if one.in_prompt else one.position for one in found), default=self.tokens)


def prompts(dialect: TextDialect, questions: Iterable[str] = ()) -> list[str]:
    """Return the first prompt of each question; without questions, built-in prompts, one of them about to stop."""
    if asked := list(questions):
        return [dialect.prompt(Transcript(question=question)) for question in asked]
    begun = [dialect.prompt(Transcript(question=question)) for question in _QUESTIONS]
    sum_of_two = "Tom has 14 apples and gets 5 more. How many apples does Tom have?"
    return begun + [
        dialect.prompt(Transcript(question=sum_of_two, segments=dialect.parse(solution)))
        for solution in _SOLUTIONS
    ]


def compare(
    prompt: str, reference: Reference, engines: Mapping[str, Writer], *, stop: Sequence[str]
) -> Comparison:
    """Continue a prompt with every engine and compare with `reference`."""
    written = reference.write(prompt)
    ids, end = ended(written.ids, reference.tokenizer, stop)
    differences: dict[str, Difference | None] = {}
    for name, write in engines.items():
        other = write(prompt)
        found, _ = ended(other.ids, reference.tokenizer, stop)
        differences[name] = _difference(
            Written(prompt=written.prompt, ids=ids), replace(other, ids=found), reference
        )
    return Comparison(prompt=prompt, tokens=len(ids), end=end, differences=differences)


def ended(
    ids: Sequence[int], tokenizer: PreTrainedTokenizerFast, stop: Sequence[str]
) -> tuple[tuple[int, ...], End]:
    """Return the ids up to the first end, and which end it is; engines differ in what they give beyond it."""
    for count, token in enumerate(ids, start=1):
        if token == tokenizer.eos_token_id:
            return tuple(ids[:count]), End.END_TOKEN
        text = str(tokenizer.decode(list(ids[:count])))
        if any(string in text for string in stop):
            return tuple(ids[:count]), End.STOP
    return tuple(ids), End.LENGTH


def _difference(expected: Written, found: Written, reference: Reference) -> Difference | None:
    """Return the first difference, in the prompt if there is one."""
    if expected == found:
        return None
    in_prompt = expected.prompt != found.prompt
    theirs, ours = (found.prompt, expected.prompt) if in_prompt else (found.ids, expected.ids)
    pairs = list(zip_longest(ours, theirs))
    position = next(number for number, (own, other) in enumerate(pairs) if own != other)
    own, other = pairs[position]
    gap = None
    if not in_prompt and own is not None and other is not None:
        gap = reference.logit_gap((*expected.prompt, *ours[:position]), own, other)
    words = [None if token is None else str(reference.tokenizer.decode([token])) for token in (own, other)]
    return Difference(
        in_prompt=in_prompt, position=position, expected=words[0], found=words[1], logit_gap=gap
    )
