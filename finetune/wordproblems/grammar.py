"""Parse and say templates: plain lower-case English with choices, words, people and numbers.

(a|b)                   one of the alternatives
{item} {items}          a drawn word and its plural; of a verb, the base and the past form
{a item} {of deed}      the word with its article; the things that a verb is done to
{A} {A's}               a person
{he} {him:B}            a pronoun, of A unless a person is given
{@A}                    the name or, where it is clear, the pronoun
[x] [$x] [#x]           a number, as money, in digits only
[x item] [x more item]  a number and the noun that agrees with it; [x page/pages] spells the noun out
<total>                 a phrase that many schemas share
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random

from finetune.wordproblems.numbers import Value, written
from finetune.wordproblems.people import KEYS, PRONOUNS, Person
from finetune.wordproblems.phrases import PHRASES
from finetune.wordproblems.problem import numbers_in
from finetune.wordproblems.words import Word, article

_TOKEN = re.compile(r"[()|]|\{[^{}]*\}|\[[^\[\]]*\]|<[a-z_]+>|[^(){}|\[\]<>]+")
_SPACES = re.compile(r"  +")
_SENTENCE_START = re.compile(r"(?:^|(?<=[.?!] ))[a-z]")

Node = Callable[["Telling"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names that a template may use."""

    words: Collection[str]
    numbers: Collection[str]


@dataclass(slots=True, kw_only=True)
class Telling:
    """The state of one problem while it is said: what was drawn and what was mentioned."""

    rng: Random
    people: Mapping[str, Person]
    words: Mapping[str, Word]
    values: Mapping[str, Value]
    out: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    digits: list[str] = field(default_factory=list)
    mentioned: set[str] = field(default_factory=set)

    def text(self) -> str:
        """Return what was said so far, with a capital at the start of every sentence."""
        said = _SPACES.sub(" ", "".join(self.out)).replace(" ,", ",").replace(" ?", "?").replace(" .", ".")
        return _SENTENCE_START.sub(lambda m: m.group().upper(), said.strip())


def parse(template: str, names: Names) -> tuple[Node, ...]:
    """Compile a template.

    Raises:
        ValueError: a mark isn't closed, or names something unknown.
    """
    tokens = _TOKEN.findall(template)
    if "".join(tokens) != template:
        raise ValueError(f"a bracket isn't closed or opened in {template!r}")
    nodes, rest = _sequence(tokens, 0, names)
    if rest != len(tokens):
        raise ValueError(f"{tokens[rest]!r} stands outside of parentheses in {template!r}")
    return nodes


def _sequence(tokens: list[str], at: int, names: Names) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    while at < len(tokens) and tokens[at] not in (")", "|"):
        token = tokens[at]
        at += 1
        if token == "(":
            options, at = _options(tokens, at, names)
            nodes.append(_choice(options))
        elif token[0] == "{":
            nodes.append(_braces(token[1:-1], names))
        elif token[0] == "[":
            nodes.append(_number(token[1:-1], names))
        elif token[0] == "<":
            phrase = PHRASES[_known(token[1:-1], PHRASES, "phrase")]
            nodes.append(_choice([parse(phrase, names)]))
        else:
            nodes.append(_literal(token))
    return tuple(nodes), at


def _options(tokens: list[str], at: int, names: Names) -> tuple[list[tuple[Node, ...]], int]:
    options = []
    while True:
        nodes, at = _sequence(tokens, at, names)
        options.append(nodes)
        if at >= len(tokens):
            raise ValueError(f"a parenthesis isn't closed in {''.join(tokens)!r}")
        at += 1
        if tokens[at - 1] == ")":
            return options, at


def _known(name: str, names: Collection[str], kind: str) -> str:
    if name not in names:
        raise ValueError(f"no {kind} {name!r}; there is {', '.join(names) or 'none'}")
    return name


def _literal(text: str) -> Node:
    """Say fixed text; its numbers count as numbers of the question too."""
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


def _braces(inner: str, names: Names) -> Node:
    if inner.startswith("@"):
        return _name_or_pronoun(_known(inner[1:], KEYS, "person"))
    base = inner.removesuffix("'s")
    if len(base) == 1 and base.isupper():
        return _person(_known(base, KEYS, "person"), inner[1:])
    pronoun, _, key = inner.partition(":")
    if pronoun in PRONOUNS["m"]:
        return _pronoun(pronoun, _known(key or "A", KEYS, "person"))
    if inner.startswith("a "):
        return _word(_known(inner[2:], names.words, "word"), "a")
    if inner.startswith("of "):
        return _word(_known(inner[3:], names.words, "word"), "of")
    if inner in names.words:
        return _word(inner, "one")
    return _word(_known(inner.removesuffix("s"), names.words, "word"), "many")


def _person(key: str, ending: str) -> Node:
    return lambda telling: telling.out.append(_name(telling, key) + ending)


def _name(telling: Telling, key: str) -> str:
    """Call a person by name, by relation to A ("his sister"), or by role ("a baker", later "the baker")."""
    person, known = telling.people[key], key in telling.mentioned
    telling.mentioned.add(key)
    if person.kind == "relation":
        owner = telling.people["A"]
        if "A" in telling.mentioned and owner.kind != "relation":
            return f"{PRONOUNS[owner.gender]['his']} {person.name}"
        return f"{_name(telling, 'A')}'s {person.name}"
    if person.kind == "role":
        return f"the {person.name}" if known else f"{article(person.name)} {person.name}"
    return person.name


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
            telling.out.append(_name(telling, key))

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


def _number(inner: str, names: Names) -> Node:
    marked, *rest = inner.split(" ")
    sign = marked[:1] if marked[:1] in ("$", "#") else ""
    name = _known(marked.removeprefix(sign), names.numbers, "number")
    noun = rest[-1] if rest else ""
    middle = "".join(f" {word}" for word in rest[:-1])
    one, slash, many = noun.partition("/")
    if noun and not slash:
        _known(noun, names.words, "word")

    def say(telling: Telling) -> None:
        telling.order.append(name)
        shown, digits = written(telling.rng, telling.values[name], sign)
        telling.digits.append(digits)
        telling.out.append(shown)
        if noun:
            word = Word(one=one, many=many) if slash else telling.words[noun]
            telling.out.append(f"{middle} {word.one if telling.values[name] == 1 else word.many}")

    return say
