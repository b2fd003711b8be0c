"""Comparison problems: more and fewer; differences and unknown references.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "compare/difference",
        "x any, y any",
        "item thing",
        (
            "&{A} has [x item]. &{B} has [y item].",
            "~{A} has [x item] and {B} [y].",
            "~{A} has [x item] while {B} has [y item].",
            "{B} has [y item]. ~{A} has [x].",
        ),
        (
            ask(
                "x - y",
                "how many more {items} does {A} have than {B}?",
                "how many fewer {items} does {B} have than {A}?",
                "how many more {items} are with {A} than with {B}?",
                "what is the difference between their numbers of {items}?",
                "how many {items} does {B} need to have as many as {A}?",
                "by how many {items} does {A} have more than {B}?",
            ),
            ask("x + y", "how many {items} do they have <total>?"),
        ),
        where="x > y",
    ),
    schema(
        "compare/more",
        "x any, d any",
        "item thing",
        (
            "{A} has [x item]. ~{B} has [d more item] than {A}.",
            "{A} has [x item]. ~{B} has [d] more (than {him}|than {A}|{items} than {A}).",
            "{B} has [d] more {items} than {A}. ~{A} has [x item].",
            "~{A} has [x item] and {B} has [d] more than that.",
            "{A} has [x item], which is [d] fewer than {B} has.",
        ),
        (
            ask(
                "x + d",
                "how many {items} (does {B} have|are with {B}|belong to {B})?",
                "how many {items} does {B} have?",
                "how many does {B} have?",
            ),
            ask(
                "x + (x + d)",
                "how many {items} do they have <total>?",
                "how many {items} do {A} and {B} have (together|<total>)?",
            ),
        ),
    ),
    schema(
        "compare/fewer",
        "x any, d any",
        "item thing",
        (
            "{A} has [x item]. ~{B} has [d] fewer {items} than {A}.",
            "{A} has [x item]. ~{B} has [d] (fewer|less) than {A}.",
            "{B} has [d] fewer {items} than {A}. ~{A} has [x item].",
            "{A} has [x item], which is [d] more than {B} has.",
            "{A} has [d more item] than {B}. ~{A} has [x item].",
        ),
        (
            ask(
                "x - d",
                "how many {items} (does {B} have|are with {B}|belong to {B})?",
                "how many {items} does {B} have?",
                "how many does {B} have?",
            ),
            ask(
                "x + (x - d)",
                "how many {items} do they have <total>?",
                "how many {items} do {A} and {B} have (together|<total>)?",
            ),
        ),
        where="x > d",
    ),
    schema(
        "compare/chain",
        "x any, d some, e some",
        "item thing",
        (
            "{A} has [x item]. {B} has [d] more than {A}. ~{C} has [e] fewer than {B}.",
            "{A} has [x item]. {B} has [d] more {items} than {A}. ~{C} has [e] fewer {items} than {B}.",
        ),
        (
            ask(
                "x + d - e",
                "how many {items} does {C} have?",
                "how many {items} (belong to {C}|are with {C})?",
            ),
            ask("x + d", "how many {items} does {B} have?"),
        ),
        where="x > e",
    ),
    schema(
        "compare/one_of_each",
        "x any, y any, z any",
        "item thing, other thing",
        (
            "{A} has [x item] and [y other]. {B} has [z item].",
            "there are [x item], [y other] and [z] (boxes|bags|empty boxes) in the room.",
            "{A} bought [x item] and [y other]. (last week|yesterday|before that), {he} bought [z] (pens|cups|hats).",
            "{A} had [x item] and [y other] (on the shelf|in {his} bag|at home). {he} gave [z] (coins|books) to a friend.",
        ),
        (
            ask(
                "x - y",
                "how many more {items} than {others} does {A} have?",
                "how many fewer {others} than {items} (are there|did {@A} have)?",
                "how many more {items} than {others} are there?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "compare/left_difference",
        "x any, y any, p some, q some",
        "item food, other food",
        (
            "{A} had [x item] and [y other]. {he} (used|gave away|sold) [p item] and [q other].",
            "there were [x item] and [y other] (in the kitchen|on the table|in the box). {A} took [p item] and [q other].",
        ),
        (
            ask(
                "x - p",
                "how many {items} (are|were) left?",
                "how many {items} does {@A} have left?",
                "how many {items} remain?",
            ),
            ask(
                "y - q",
                "how many {others} (are|were) left?",
                "how many {others} does {@A} have left?",
                "how many {others} remain?",
            ),
            ask("p - q", "how many more {items} than {others} (were taken|are gone)?"),
            ask("p + q", "how many {items} and {others} (were taken|are gone) <total>?"),
            ask("(x - p) + (y - q)", "how many {items} and {others} are left <total>?"),
        ),
        where="x > p, y > q, p > q",
    ),
)
