"""Comparison problems: more, fewer, times as many; differences and unknown references.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.embedded.templates.schema import ask, schema

SCHEMAS = (
    schema(
        "compare/difference",
        "x any, y any",
        "item thing",
        (
            "&{A} (has|had|collected|sold) [x item]. &{B} (has|had|collected|sold) [y item].",
            "~{A} (picked|made|found|ate) [x item] and {B} [y].",
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
            "{A} (found|sold|made|picked) [x item]. ~{B} (found|sold|made|picked) [d] more (than {him}|than {A}|{items} than {A}).",
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
            "{A} (found|sold|made|picked) [x item]. ~{B} (found|sold|made|picked) [d] (fewer|less) than {A}.",
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
            "{A} (made|sold|found) [x item]. {B} (made|sold|found) [d] more {items} than {A}. ~{C} (made|sold|found) [e] fewer {items} than {B}.",
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
            "{A} had [x item] and [y other]. {he} (ate|gave away|sold) [p item] and [q other].",
            "there were [x item] and [y other] (in the kitchen|on the table|in the box). {A} (ate|took) [p item] and [q other].",
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
    schema(
        "compare/times",
        "x any, k few",
        "item thing",
        (
            "{A} has [x item]. ~{B} has [k] times as many {items} as {A}.",
            "{A} (found|sold|made|picked) [x item]. ~{B} (found|sold|made|picked) [k] times as many.",
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
            "{A} (found|sold|made|baked) [x item]. ~{B} (found|sold|made|baked) twice as many {items} as {A}.",
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
            "{A} (found|sold|made|baked) [x item]. ~{B} (found|sold|made|baked) half as many {items} as {A}.",
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
            "~{A} (found|made|sold) [x item] and {B} (found|made|sold) [y].",
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
            "~{B} (sold|made|found) [d] more than [k] times the number of {items} that {A} (sold|made|found), which was [x].",
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
            "~{B} (picked|made|found) [d] less than [k] times the number of {items} that {A} (picked|made|found), which was [x].",
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
