"""Read a teacher's reply: the one marked block, or the reason why it isn't used. Nothing is guessed.

A block stands between `<new_question>` and `</new_question>`, or the same with `new_solution`. The text beside it
doesn't matter. Only solving shows whether a question keeps its sense, and whether a solution is right.
"""

from finetune.data.augment.checks import as_number
from finetune.data.augment.perspectives import Unusable
from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.problems import check_question
from mumath_agent.records import Completion, FinishReason

QUESTION, SOLUTION = "new_question", "new_solution"
STOP = ("\n<question>",)
"""The beginning of a prompt's data: a model that writes it has begun a prompt of its own."""


def block(completion: Completion, name: str) -> str:
    """Return the text of the reply's one block.

    Raises:
        Unusable: there is no block, there are several, or it was cut off.
    """
    if not completion.text.strip():
        raise Unusable("empty reply")
    _, *opened = completion.text.split(f"<{name}>")
    if not opened:
        raise Unusable("no block")
    if len(opened) > 1 or opened[0].count(f"</{name}>") > 1:
        raise Unusable("several blocks")
    text, closed, _ = opened[0].partition(f"</{name}>")
    if not closed:
        raise Unusable("cut off" if completion.finish_reason is FinishReason.LENGTH else "block not closed")
    if not text.strip():
        raise Unusable("empty block")
    return text.strip()


def require_question(text: str) -> None:
    """Require a text that can be a question.

    Raises:
        Unusable: it can't.
    """
    try:
        check_question(text)
    except InputError:
        raise Unusable("no question") from None


def require_boxed(text: str, target: str) -> None:
    """Require a solution that boxes its answer; a number must be the target, other answers are graded later.

    Raises:
        Unusable: it doesn't, or boxes another number.
    """
    if not (boxes := boxed_answers(text)):
        raise Unusable("no boxed answer")
    found, wanted = as_number(boxes[-1]), as_number(target)
    if found is not None and wanted is not None and found != wanted:
        raise Unusable("boxes another answer")


def require_sections(text: str, sections: tuple[str, ...]) -> None:
    """Require a text that has `sections`, each once and in this order.

    Raises:
        Unusable: it hasn't.
    """
    starts = [text.find(section) for section in sections]
    if -1 in starts or starts != sorted(starts) or any(text.count(section) > 1 for section in sections):
        raise Unusable("missing section")
