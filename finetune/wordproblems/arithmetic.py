"""Bare arithmetic: questions without a story.

Owns: these questions.  Does not own: word problems.
"""

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

_COMMANDS = ("compute", "calculate", "find", "work out", "evaluate")


def _forms(infix: str, *spoken: str) -> tuple[str, ...]:
    written = (f"what is {infix}?", f"how much is {infix}?", *(f"{word} {infix}." for word in _COMMANDS))
    return (*written, *(f"what is {words}?" for words in spoken), f"what is the (value|result) of {infix}?")


SCHEMAS = (
    schema(
        "arithmetic/add",
        "x any, y any",
        "",
        ("",),
        (
            ask(
                "x + y",
                *_forms("[#x] + [#y]", "[x] plus [y]", "the sum of [x] and [y]", "[y] more than [#x]"),
            ),
        ),
    ),
    schema(
        "arithmetic/subtract",
        "x any, y any",
        "",
        ("",),
        where="x > y",
        asks=(
            ask(
                "x - y",
                *_forms(
                    "[#x] - [#y]", "[x] minus [y]", "the difference between [x] and [y]", "[y] less than [#x]"
                ),
            ),
        ),
    ),
    schema(
        "arithmetic/multiply",
        "x any, y some",
        "",
        ("",),
        (
            ask(
                "x * y",
                *_forms(
                    "[#x] * [#y]", "[x] times [y]", "the product of [x] and [y]", "[x] multiplied by [y]"
                ),
            ),
        ),
    ),
    schema(
        "arithmetic/divide",
        "q any, y some, x =q * y",
        "",
        ("",),
        (ask("x / y", *_forms("[#x] / [#y]", "[x] divided by [y]", "[x] shared by [y]")),),
    ),
    schema(
        "arithmetic/chain",
        "x any, y any, z few",
        "",
        ("",),
        where="x > z",
        asks=(
            ask("x + y - z", *_forms("[#x] + [#y] - [#z]", "[x] plus [y] minus [z]")),
            ask("x + y * z", *_forms("[#x] + [#y] * [#z]")),
            ask("(x - z) * y", *_forms("the difference of [#x] and [#z], times [#y]")),
            ask("x + y + z", *_forms("[#x] + [#y] + [#z]", "the sum of [x], [y] and [z]")),
        ),
    ),
    schema(
        "arithmetic/percent",
        "p percent, x hundreds",
        "",
        ("",),
        (ask("x * p / 100", *_forms("[#p]% of [#x]", "[p] percent of [x]")),),
    ),
    schema(
        "arithmetic/fraction",
        "k 2-9, q some, x =k * q",
        "",
        ("",),
        (
            ask("x / 2", "what is half of [#x]?", "find half of [#x]."),
            ask("x * 2", "what is (twice|double) [#x]?", "what number is twice [#x]?"),
            ask("x / k", "what is one part in [#k] of [#x]?"),
        ),
    ),
    schema(
        "arithmetic/unknown",
        "x any, y any",
        "",
        ("",),
        (
            ask("x - y", "what number must be added to [#y] to get [#x]?", "[#y] plus what number is [#x]?"),
            ask("x + y", "from what number must [#x] be taken away to leave [#y]?"),
        ),
        where="x > y",
    ),
)
