"""Tell a problem: the sentences of a body in some order, perhaps an idle sentence with a number, the question.

`~` before a sentence says that it may join the question ("If each box holds 6 eggs, how many …?"), `&` that it
may trade places with the other sentences so marked.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from finetune.wordproblems.grammar import Names, Node, Telling, parse
from finetune.wordproblems.numbers import Value
from finetune.wordproblems.people import Person
from finetune.wordproblems.phrases import IDLE, IDLE_WORDS
from finetune.wordproblems.words import draw_words

IDLE_SHARE = 0.2
_SPLIT = re.compile(r"(?<=[.?!]) ")
_IDLE_NUMBER = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A statement without its full stop."""

    nodes: tuple[Node, ...]
    joins: bool
    moves: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question or command without its final mark; only questions join statements."""

    nodes: tuple[Node, ...]
    mark: str


def compile_body(template: str, names: Names) -> tuple[Sentence, ...]:
    """Compile the sentences of a body.

    Raises:
        ValueError: a sentence doesn't end with a full stop, or can't be parsed.
    """
    return tuple(_sentence(text, names) for text in _SPLIT.split(template) if text)


def _sentence(text: str, names: Names) -> Sentence:
    if not text.endswith("."):
        raise ValueError(f"a sentence must end with a full stop: {text!r}")
    plain = text.lstrip("~&")
    marks = text[: len(text) - len(plain)]
    return Sentence(nodes=parse(plain[:-1], names), joins="~" in marks, moves="&" in marks)


def compile_question(template: str, names: Names) -> Question:
    """Compile a question or a command.

    Raises:
        ValueError: it doesn't end with `?` or `.`, or can't be parsed.
    """
    if not template.endswith(("?", ".")):
        raise ValueError(f"a question must end with '?', a command with '.': {template!r}")
    return Question(nodes=parse(template[:-1], names), mark=template[-1])


_IDLE_NAMES = Names(words=IDLE_WORDS, numbers=(_IDLE_NUMBER,))
_IDLE = tuple(compile_body(text, _IDLE_NAMES)[0] for text in IDLE)


def tell(
    rng: Random,
    *,
    body: Sequence[Sentence],
    question: Question,
    values: Mapping[str, Value],
    people: Mapping[str, Person],
    words: Mapping[str, str],
    distract: bool,
) -> Telling:
    """Say the body and the question, in one of the orders that textbooks use."""
    sentences = _moved(rng, body)
    idle = distract and rng.random() < IDLE_SHARE
    if idle:
        words = {**words, **IDLE_WORDS}
        values = {**values, _IDLE_NUMBER: rng.randint(2, 60)}
        sentences.insert(rng.choice((0, len(sentences), len(sentences) - 1)), rng.choice(_IDLE))
    telling = Telling(rng=rng, people=people, words=draw_words(rng, words), values=values)
    _JOINS[_way(rng, sentences, question)](telling, sentences, question)
    return telling


def _moved(rng: Random, body: Sequence[Sentence]) -> list[Sentence]:
    """Shuffle the movable sentences of a body among their places."""
    sentences = list(body)
    places = [index for index, sentence in enumerate(sentences) if sentence.moves]
    moved = [sentences[index] for index in places]
    rng.shuffle(moved)
    for index, sentence in zip(places, moved, strict=True):
        sentences[index] = sentence
    return sentences


def _way(rng: Random, sentences: Sequence[Sentence], question: Question) -> str:
    chance = rng.random()
    if question.mark == "." or not sentences or not sentences[-1].joins:
        return "plain"
    if len(sentences) < 4 and all(sentence.joins for sentence in sentences):
        if chance < 0.07:
            return "question_first"
        if chance < 0.16:
            return "all_if"
    if chance < 0.40:
        return "last_if"
    return "question_if" if chance < 0.48 else "plain"


def _say(telling: Telling, nodes: Sequence[Node]) -> None:
    for node in nodes:
        node(telling)


def _statements(telling: Telling, sentences: Sequence[Sentence]) -> None:
    for sentence in sentences:
        _say(telling, sentence.nodes)
        telling.out.append(". ")


def _linked(telling: Telling, sentences: Sequence[Sentence]) -> None:
    """Say "s1 and s2", or "s1, s2 and s3"."""
    for index, sentence in enumerate(sentences):
        if index:
            telling.out.append(" and " if index == len(sentences) - 1 else ", ")
        _say(telling, sentence.nodes)


def _plain(telling: Telling, sentences: Sequence[Sentence], question: Question) -> None:
    _statements(telling, sentences)
    _say(telling, question.nodes)
    telling.out.append(question.mark)


def _last_if(telling: Telling, sentences: Sequence[Sentence], question: Question) -> None:
    _statements(telling, sentences[:-1])
    _all_if(telling, sentences[-1:], question)


def _all_if(telling: Telling, sentences: Sequence[Sentence], question: Question) -> None:
    telling.out.append("if ")
    _linked(telling, sentences)
    telling.out.append(", ")
    _say(telling, question.nodes)
    telling.out.append(question.mark)


def _question_if(telling: Telling, sentences: Sequence[Sentence], question: Question) -> None:
    _statements(telling, sentences[:-1])
    _question_first(telling, sentences[-1:], question)


def _question_first(telling: Telling, sentences: Sequence[Sentence], question: Question) -> None:
    _say(telling, question.nodes)
    telling.out.append(" if ")
    _linked(telling, sentences)
    telling.out.append(question.mark)


_JOINS = {
    "plain": _plain,
    "last_if": _last_if,
    "all_if": _all_if,
    "question_if": _question_if,
    "question_first": _question_first,
}
