"""The template language: plain lower-case English with choices, words, people and numbers.

``(a|b)`` chooses; ``{item}`` ``{items}`` ``{a item}`` are a drawn word, its plural, with its article
(of a verb: base, past; ``{of deed}`` what it is done to);
``{A}`` ``{A's}`` a person, ``{he}`` ``{him:B}`` ``{@A}`` pronouns (``@``: name or pronoun as fits);
``[x]`` a number, ``[x more item]`` with an agreeing noun, ``[$x]`` money, ``[#x]`` digits only;
``<total>`` a shared phrase.
Owns: parsing and saying templates.  Does not own: drawing words, people or numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from finetune.wordproblems.numbers import Value, written
from finetune.wordproblems.people import PRONOUNS, Person
from finetune.wordproblems.problem import numbers_in
from finetune.wordproblems.words import Word, article

_TOKEN = re.compile(r"[()|]|\{[^}]*\}|\[[^\]]*\]|<[a-z_]+>|[^(){|\[<]+")
_SPACES = re.compile(r"  +")
_SENTENCE_START = re.compile(r"(?:^|(?<=[.?!] ))[a-z]")

Node = Callable[["Telling"], None]


@dataclass(slots=True, kw_only=True)
class Telling:
    """The state of one problem while it is being said: what was drawn and what was mentioned."""

    rng: Random
    people: Mapping[str, Person]
    words: Mapping[str, Word]
    values: Mapping[str, Value]
    out: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    digits: list[str] = field(default_factory=list)
    mentioned: set[str] = field(default_factory=set)

    def text(self) -> str:
        """What was said so far, every sentence with a capital."""
        said = _SPACES.sub(" ", "".join(self.out)).replace(" ,", ",").replace(" ?", "?").replace(" .", ".")
        return _SENTENCE_START.sub(lambda m: m.group().upper(), said.strip())


def _literal(text: str) -> Node:
    """Fixed text; the numbers in it count as numbers of the question too."""
    fixed = numbers_in(text)
    if not fixed:
        return lambda telling: telling.out.append(text)

    def say(telling: Telling) -> None:
        telling.out.append(text)
        telling.digits.extend(fixed)
        telling.order.extend(fixed)

    return say


def _choice(options: list[tuple[Node, ...]]) -> Node:
    count = len(options)

    def say(telling: Telling) -> None:
        for node in options[int(telling.rng.random() * count)]:
            node(telling)

    return say


def name_of(telling: Telling, key: str) -> str:
    """How person ``key`` is called at this point; relations lean on ``A``, roles change their article."""
    person, known = telling.people[key], key in telling.mentioned
    telling.mentioned.add(key)
    if person.kind == "relation":
        owner = telling.people["A"]
        if "A" in telling.mentioned and owner.kind != "relation":
            return f"{PRONOUNS[owner.gender]['his']} {person.name}"
        return f"{name_of(telling, 'A')}'s {person.name}"
    if person.kind == "role":
        return f"the {person.name}" if known else f"{article(person.name)} {person.name}"
    return person.name


def _person(key: str, ending: str) -> Node:
    return lambda telling: telling.out.append(name_of(telling, key) + ending)


def _pronoun(word: str, key: str) -> Node:
    def say(telling: Telling) -> None:
        forms = PRONOUNS[telling.people[key].gender]
        telling.out.append(forms[word])

    return say


def _name_or_pronoun(key: str) -> Node:
    def say(telling: Telling) -> None:
        gender = telling.people[key].gender
        alone = all(
            p.gender != gender for k, p in telling.people.items() if k != key and k in telling.mentioned
        )
        if key in telling.mentioned and alone and telling.rng.random() < 0.55:
            telling.out.append(PRONOUNS[gender]["he"])
        else:
            telling.out.append(name_of(telling, key))

    return say


def _word(key: str, form: str) -> Node:
    def say(telling: Telling) -> None:
        word = telling.words[key]
        if form == "a":
            telling.out.append(f"{article(word.one)} {word.one}")
        elif form == "of":
            telling.out.append(word.thing)
        else:
            telling.out.append(word.many if form == "many" else word.one)

    return say


def _braces(inner: str, slots: frozenset[str]) -> Node:
    if inner.startswith("@"):
        return _name_or_pronoun(inner[1:])
    base = inner.removesuffix("'s")
    if len(base) == 1 and base.isupper():
        return _person(base, "'s" if inner.endswith("'s") else "")
    word, _, key = inner.partition(":")
    if word in PRONOUNS["m"]:
        return _pronoun(word, key or "A")
    if inner.startswith("a "):
        return _word(_known(inner[2:], slots), "a")
    if inner.startswith("of "):
        return _word(_known(inner[3:], slots), "of")
    if inner in slots:
        return _word(inner, "one")
    return _word(_known(inner.removesuffix("s"), slots), "many")


def _known(slot: str, slots: frozenset[str]) -> str:
    if slot not in slots:
        raise ValueError(f"no word slot {slot!r}")
    return slot


def _number(inner: str, slots: frozenset[str]) -> Node:
    name, *rest = inner.split(" ")
    sign = name[0] if name[0] in "$#" else ""
    name = name.removeprefix(sign)
    noun = rest[-1] if rest else ""
    middle = "".join(f" {word}" for word in rest[:-1])
    if noun:
        one, many = noun.split("/") if "/" in noun else ("", "")
        key = "" if one else _known(noun, slots)

    def say(telling: Telling) -> None:
        telling.order.append(name)
        shown, digits = written(telling.rng, telling.values[name], sign)
        telling.digits.append(digits)
        telling.out.append(shown)
        if noun:
            word = telling.words[key] if key else Word(one=one, many=many)
            telling.out.append(f"{middle} {word.one if telling.values[name] == 1 else word.many}")

    return say


def parse(template: str, slots: frozenset[str], phrases: Mapping[str, str]) -> tuple[Node, ...]:
    """Compile ``template``; ``slots`` are the names of its drawn words."""
    tokens = _TOKEN.findall(template)
    nodes, rest = _sequence(tokens, 0, slots, phrases)
    if rest != len(tokens):
        raise ValueError(f"unbalanced template: {template!r}")
    return nodes


def _sequence(
    tokens: list[str], at: int, slots: frozenset[str], phrases: Mapping[str, str]
) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    while at < len(tokens) and tokens[at] not in (")", "|"):
        token = tokens[at]
        at += 1
        if token == "(":
            options, at = _options(tokens, at, slots, phrases)
            nodes.append(_choice(options))
        elif token[0] == "{":
            nodes.append(_braces(token[1:-1], slots))
        elif token[0] == "[":
            nodes.append(_number(token[1:-1], slots))
        elif token[0] == "<":
            nodes.append(_choice([parse(phrases[token[1:-1]], slots, phrases)]))
        else:
            nodes.append(_literal(token))
    return tuple(nodes), at


def _options(
    tokens: list[str], at: int, slots: frozenset[str], phrases: Mapping[str, str]
) -> tuple[list[tuple[Node, ...]], int]:
    options = []
    while True:
        nodes, at = _sequence(tokens, at, slots, phrases)
        options.append(nodes)
        if at >= len(tokens):
            raise ValueError("an alternative is not closed")
        at += 1
        if tokens[at - 1] == ")":
            return options, at
