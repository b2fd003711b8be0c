"""Comparison problems: times as many, ages, scores.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "compare/times",
        "x any, k few",
        "item thing",
        (
            "{A} has [x item]. ~{B} has [k] times as many {items} as {A}.",
            "{A} has [x item]. ~{B} has [k] times as many.",
            "~{B} has [k] times as many {items} as {A}, who has [x].",
            "{B} has [k] times more {items} than {A}. ~{A} has [x].",
        ),
        (
            ask("x * k", "how many {items} does {B} have?", "how many {items} belong to {B}?"),
            ask(
                "x + x * k",
                "how many {items} do they have <total>?",
                "how many {items} do {A} and {B} have <total>?",
            ),
            ask("x * k - x", "how many more {items} does {B} have than {A}?"),
        ),
    ),
    schema(
        "compare/twice",
        "x any, d some",
        "item thing",
        (
            "{A} has [x item]. ~{B} has (twice as many|double that number|twice as many {items}).",
            "{A} has [x item]. ~{B} has twice as many {items} as {A}.",
            "~{B} has twice as many {items} as {A}, who has [x item].",
        ),
        (
            ask("x * 2", "how many {items} does {B} have?"),
            ask(
                "x + x * 2",
                "how many {items} do they have <total>?",
                "how many {items} do {A} and {B} have <total>?",
            ),
        ),
    ),
    schema(
        "compare/half",
        "q any, x =q * 2",
        "item thing",
        (
            "{A} has [x item]. ~{B} has half as many.",
            "{A} has [x item]. ~{B} has half as many {items} as {A}.",
            "~{B} has half as many {items} as {A}, who has [x].",
            "{A} sold [x item] at first and half as many later.",
        ),
        (
            ask("x / 2", "how many {items} does {B} have?", "how many is half of the {items}?"),
            ask("x + x / 2", "how many {items} are there <total>?", "how many {items} is that altogether?"),
        ),
    ),
    schema(
        "compare/times_unknown",
        "y any, k few, x =y * k",
        "item thing",
        (
            "{A} has [x item]. ~that is [k] times as many as {B} has.",
            "{A} has [k] times as many {items} as {B}. ~{A} has [x item].",
            "~{A} has [x item], [k] times as many as {B}.",
        ),
        (
            ask("x / k", "how many {items} does {B} have?", "how many {items} belong to {B}?"),
            ask("x - x / k", "how many more {items} does {A} have than {B}?"),
        ),
    ),
    schema(
        "compare/how_many_times",
        "y some, k few, x =y * k",
        "item thing",
        (
            "{A} has [x item]. ~{B} has [y item].",
            "~{A} has [x item] and {B} has [y].",
        ),
        (
            ask(
                "x / y",
                "how many times as many {items} (as {B} does {A} have|does {A} have as {B})?",
                "{A} has how many times as many {items} as {B}?",
            ),
        ),
    ),
    schema(
        "compare/times_plus",
        "x any, k few, d some",
        "item thing",
        (
            "{A} has [x item]. ~{B} has [d] more than [k] times as many {items} as {A}.",
            "~{B} has [d] more than [k] times the number of {items} that {A} has, which was [x].",
        ),
        (
            ask(
                "x * k + d",
                "how many {items} (does {B} have|belong to {B})?",
            ),
        ),
    ),
    schema(
        "compare/times_minus",
        "x any, k few, d some",
        "item thing",
        (
            "{A} has [x item]. ~{B} has [d] fewer than [k] times as many {items} as {A}.",
            "~{B} has [d] less than [k] times the number of {items} that {A} has, which was [x].",
        ),
        (
            ask(
                "x * k - d",
                "how many {items} (does {B} have|belong to {B})?",
                "how many {items} does {B} have?",
            ),
        ),
        where="x * k > d",
    ),
    schema(
        "compare/ages",
        "x 3-60, d few, t few",
        "",
        (
            "{A} is [x] years old. ~{B} is [d] years older than {A}.",
            "~{B} is [d] years older than {A}, who is [x].",
            "{A} is [d] years younger than {B}. ~{A} is [x] years old.",
        ),
        (
            ask("x + d", "how old is {B}?", "what is {B's} age?", "how old is {B} now?"),
            ask("x + d + t", "how old will {B} be in [t] years?"),
            ask("x + t", "how old will {A} be in [t] years?"),
            ask("x + (x + d)", "what is the sum of their ages?"),
        ),
        distract=False,
    ),
    schema(
        "compare/ages_younger",
        "x 20-80, d 2-18, t few",
        "",
        (
            "{A} is [x] years old. ~{B} is [d] years younger (than {A}|).",
            "~{B} is [d] years younger than {A}, who is [x].",
            "{A} is [d] years older than {B}. ~{A} is [x] years old.",
        ),
        (
            ask("x - d", "how old is {B}?", "what is the age of {B}?"),
            ask("x - d + t", "how old will {B} be in [t] years?"),
            ask("x - d - t", "how old was {B} [t] years ago?"),
            ask("x - t", "how old was {A} [t] years ago?"),
        ),
        where="x > d + t",
        distract=False,
    ),
    schema(
        "compare/ages_ratio",
        "x 3-30, k 2-4, t few",
        "",
        (
            "{A} is [x] years old. ~{B} is [k] times as old (as {A}|).",
            "~{B} is [k] times as old as {A}, who is [x] years old.",
        ),
        (
            ask("x * k", "how old is {B}?"),
            ask("x * k - x", "how many years older is {B} than {A}?"),
            ask("x * k + t", "how old will {B} be [t] years from now?"),
        ),
        distract=False,
    ),
    schema(
        "compare/scores",
        "x any, y any, z any",
        "sport sport",
        (
            "{A} scored [x] points and {B} scored [y] points in {a sport} game.",
            "in {a sport} game, {A's} team (scored|had|made) [x] points and the other team (scored|had|made) [y].",
            "{A} (scored|got|made) [x] points in the first {sport} game, [y] points in the second and [z] points in the third.",
        ),
        (
            ask(
                "x - y",
                "what was the difference in points between the (two|first two)?",
                "how many more points was the first score than the second?",
                "by how many points was the first (score|result) better than the second?",
            ),
            ask(
                "x + y",
                "how many points is that <total> for the first two scores?",
                "how many points were the first two scores together?",
            ),
        ),
        where="x > y",
    ),
)
