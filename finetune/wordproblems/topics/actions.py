"""Stories told with one verb throughout, so that the question asks with the verb of the story.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""

from __future__ import annotations

from finetune.wordproblems.schema import Schema, ask, schema


def _twice(name: str, verb: str, item: str) -> Schema:
    """One person does a thing at two times or places."""
    return schema(
        f"actions/twice/{name}",
        "x any, y any, z any",
        f"v {verb}, item {item}, t occasion",
        (
            "{A} {vs} [x item] {t} and [y item] {ts}.",
            "{t}, {A} {vs} [x item]. ~{ts}, {he} {vs} [y] more.",
            "{A} {vs} [x item] {t}. ~{he} {vs} [y item] {ts}.",
            "~{A} {vs} [x item] {t} and another [y] {ts}.",
            "{A} {vs} [x item] {t}, and {B} {vs} [z item]. ~{A} {vs} [y] more {ts}.",
        ),
        (
            ask(
                "x + y",
                "how many {items} did {A} {v} <total>?",
                "how many {items} did {A} {v} {t} and {ts} together?",
                "what is the total number of {items} that {A} {vs}?",
            ),
            ask(
                "x - y",
                "how many more {items} did {A} {v} {t} than {ts}?",
                "how many fewer {items} did {A} {v} {ts} than {t}?",
                "what is the difference between what {A} {vs} {t} and {ts}?",
            ),
        ),
        where="x > y",
    )


def _pair(name: str, verb: str, item: str) -> Schema:
    """Two people do the same."""
    return schema(
        f"actions/pair/{name}",
        "x any, y any, z any",
        f"v {verb}, item {item}, other {item}",
        (
            "{A} {vs} [x item]. ~{B} {vs} [y item].",
            "~{A} {vs} [x item] and {B} {vs} [y].",
            "&{A} {vs} [x item]. &{B} {vs} [y item].",
            "~{A} {vs} [x item], while {B} {vs} [y item].",
            "{A} and {B} {vs} {items}. ~{A} {vs} [x] and {B} {vs} [y].",
            "{A} {vs} [x item] and [z other]. {B} {vs} [y item].",
        ),
        (
            ask(
                "x + y",
                "how many {items} did they {v} <total>?",
                "how many {items} did {A} and {B} {v} (together|<total>)?",
                "how many {items} did the two of them {v} <total>?",
            ),
            ask(
                "x - y",
                "how many more {items} did {A} {v} than {B}?",
                "how many fewer {items} did {B} {v} than {A}?",
                "what is the difference between the numbers of {items} they {vs}?",
                "how many more {items} must {B} {v} to (catch up with|have as many as) {A}?",
            ),
        ),
        where="x > y",
    )


def _more(name: str, verb: str, item: str) -> Schema:
    """One person does more than another."""
    return schema(
        f"actions/more/{name}",
        "x any, d some",
        f"v {verb}, item {item}",
        (
            "{A} {vs} [x item]. ~{B} {vs} [d] more (than {A}|{items} than {A}|than that).",
            "~{B} {vs} [d more item] than {A}, who {vs} [x].",
            "{A} {vs} [x item], which is [d] fewer than {B} {vs}.",
        ),
        (
            ask("x + d", "how many {items} did {B} {v}?", "how many did {B} {v}?"),
            ask(
                "x + (x + d)",
                "how many {items} did they {v} <total>?",
                "how many {items} did {A} and {B} {v} <total>?",
            ),
        ),
    )


def _fewer(name: str, verb: str, item: str) -> Schema:
    """One person does less than another."""
    return schema(
        f"actions/fewer/{name}",
        "x any, d some",
        f"v {verb}, item {item}",
        (
            "{A} {vs} [x item]. ~{B} {vs} [d] fewer (than {A}|{items} than {A}|than that).",
            "~{B} {vs} [d] fewer {items} than {A}, who {vs} [x].",
            "{A} {vs} [x item], which is [d] more than {B} {vs}.",
            "{A} {vs} [d more item] than {B}. ~{A} {vs} [x item].",
        ),
        (
            ask("x - d", "how many {items} did {B} {v}?", "how many did {B} {v}?"),
            ask("x + (x - d)", "how many {items} did they {v} <total>?"),
        ),
        where="x > d",
    )


def _times(name: str, verb: str, item: str) -> Schema:
    """One person does several times as much."""
    return schema(
        f"actions/times/{name}",
        "x some, k few",
        f"v {verb}, item {item}",
        (
            "{A} {vs} [x item]. ~{B} {vs} [k] times as many ({items} as {A}|).",
            "~{B} {vs} [k] times as many {items} as {A}, who {vs} [x].",
        ),
        (
            ask("x * k", "how many {items} did {B} {v}?", "how many did {B} {v}?"),
            ask("x + x * k", "how many {items} did they {v} <total>?"),
            ask("x * k - x", "how many more {items} did {B} {v} than {A}?"),
        ),
    )


def _daily(name: str, verb: str, item: str) -> Schema:
    """The same every day, or hour, or week."""
    return schema(
        f"actions/daily/{name}",
        "p some, k few",
        f"v {verb}, item {item}, u span",
        (
            "{A} {vs} [p item] (every|each|per) {u} for [k] {us}.",
            "~{A} {vs} [p item] (every|each) {u} for [k] {us}.",
            "~in each of [k] {us}, {A} {vs} [p item].",
            "{A} {vs} [p item] every {u}. ~{he} did so for [k] {us}.",
            "~for [k] {us}, {A} {vs} [p item] (per|each) {u}.",
        ),
        (
            ask(
                "p * k",
                "how many {items} did {@A} {v} <total>?",
                "how many {items} is that <total>?",
                "how many {items} did {@A} {v}?",
            ),
        ),
    )


def _rate(name: str, verb: str, item: str) -> Schema:
    """A total spread over days, hours or weeks."""
    return schema(
        f"actions/rate/{name}",
        "p some, k few, t =p * k",
        f"v {verb}, item {item}, u span",
        (
            "{A} {vs} [t item] in [k] {us}.",
            "~in [k] {us}, {A} {vs} [t item].",
            "~it took {A} [k] {us} to {v} [t item].",
            "{A} {vs} [t item] over [k] {us}, the same number each {u}.",
        ),
        (
            ask(
                "t / k",
                "how many {items} did {@A} {v} (each|every|per) {u}?",
                "how many {items} per {u} is that?",
                "how many {items} did {@A} {v} in one {u}?",
            ),
        ),
    )


def _get_then_lose(name: str, item: str) -> Schema:
    """A gain followed by a loss."""
    return schema(
        f"actions/get_lose/{name}",
        "x any, y any, z any",
        f"g get, l lose, item {item}",
        (
            "{A} {gs} [x item]. ~{he} {ls} [y] of them.",
            "{A} {gs} [x item] and then {he} {ls} [y item].",
            "~after {A} {gs} [x item], {he} {ls} [y] of them.",
            "~{A} {gs} [x item] but {ls} [y].",
            "{A} {ls} [y item]. ~{he} had [x item] before.",
        ),
        (
            ask(
                "x - y",
                "how many {items} does {@A} have <left>?",
                "how many {items} did {@A} not {l}?",
                "how many {items} are <left>?",
                "how many {items} remain?",
            ),
        ),
        where="x > y",
    )


def _had_then(name: str, item: str) -> Schema:
    """A stock, a gain and a loss, with a question about any of them."""
    return schema(
        f"actions/had_then/{name}",
        "x any, y any, z any",
        f"g get, l lose, item {item}",
        (
            "{A} had [x item]. {he} {gs} [y] more and then {ls} [z].",
            "{A} had [x item]. ~{he} {ls} [z] of them and then {gs} [y] new ones.",
            "{A} {gs} [y item]. {he} already had [x]. ~{he} {ls} [z] later that day.",
        ),
        (
            ask("x + y - z", "how many {items} does {@A} have (now|in the end|left)?"),
            ask("y - z", "how many more {items} did {@A} {g} than {l}?"),
            ask("x + y", "how many {items} did {@A} have before any were gone?"),
        ),
        where="x > z, y > z",
    )


def _lost_unknown(name: str, item: str) -> Schema:
    """The change is asked for."""
    return schema(
        f"actions/unknown/{name}",
        "x any, y any",
        f"l lose, item {item}",
        (
            "{A} had [x item]. {he} {ls} some (of them|{items}|). ~{he} has [y] left.",
            "~{A} {ls} some of {his} [x item] and has [y] left.",
            "{A} had [x item]. ~after {he} {ls} some, there were [y item] left.",
            "{A} had [x item] (at first|in the beginning). {he} {ls} a few. ~now {he} has [y].",
        ),
        (ask("x - y", "how many {items} did {@A} {l}?", "how many did {@A} {l}?"),),
        where="x > y",
    )


def _gain_unknown(name: str, item: str) -> Schema:
    """The gain is asked for."""
    return schema(
        f"actions/gained/{name}",
        "x any, y any",
        f"g get, item {item}",
        (
            "{A} had [y item]. {he} {gs} some more. ~now {he} has [x item].",
            "{A} had [y item]. ~after {he} {gs} some more, {he} had [x].",
            "~{A} had [y item] and then {gs} enough to have [x].",
        ),
        (
            ask(
                "x - y",
                "how many {items} did {@A} {g}?",
                "how many more {items} did {@A} {g}?",
                "how many did {@A} {g}?",
            ),
        ),
        where="x > y",
    )


_KINDS = (
    ("make", "make", "goods"),
    ("bake", "bake", "baked"),
    ("pick", "pick", "produce"),
    ("spot", "spot_animal", "animal"),
    ("get", "get", "small"),
    ("plant", "plant_verb", "plant"),
)

SCHEMAS = (
    *(_twice(*kind) for kind in _KINDS),
    *(_pair(*kind) for kind in _KINDS),
    *(_more(*kind) for kind in _KINDS),
    *(_fewer(*kind) for kind in _KINDS),
    *(_times(*kind) for kind in _KINDS[:4]),
    *(_daily(*kind) for kind in _KINDS[:4]),
    *(_rate(*kind) for kind in _KINDS[:3]),
    *(
        make(name, item)
        for make in (_get_then_lose, _had_then, _lost_unknown, _gain_unknown)
        for name, item in (("small", "small"), ("toy", "collectible"), ("school", "school"))
    ),
)
