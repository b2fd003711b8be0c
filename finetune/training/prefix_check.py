"""Are the ids a model is served the ids it was trained on?

A server gets each turn's prompt as text and tokenises it from its beginning. The model has been trained on ids of the
whole text. Where a tokenizer merges across the cut, the two differ: a seam is broken, and the model stands before ids
it has never seen. This module finds such seams; it mends none.
"""

from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerFast

from finetune.training.encode import Row, whole_text
from mumath_agent.protocols import TextDialect
from mumath_agent.transcript import Kind, Transcript


def served_prompts(row: Row, dialect: TextDialect) -> Iterator[str]:
    """The prompt of each turn: before the solution, and behind every OUTPUT that something follows."""
    whole = Transcript(question=row.question)
    yield dialect.prompt(whole)
    segments = dialect.parse(row.solution)
    for segment in segments[:-1]:
        whole = whole.extended(segment)
        if segment.kind is Kind.OUTPUT:
            yield dialect.prompt(whole)


def broken_seams(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast, dialect: TextDialect
) -> list[tuple[int, str]]:
    """The prompts whose ids don't begin the ids of their row's whole text: row number and prompt."""
    broken: list[tuple[int, str]] = []
    for number, row in enumerate(rows):
        prompts = list(served_prompts(row, dialect))
        whole, *served = tokenizer([whole_text(row, tokenizer, dialect), *prompts])["input_ids"]
        broken += [
            (number, prompt) for prompt, ids in zip(prompts, served, strict=True) if whole[: len(ids)] != ids
        ]
    return broken
