"""Deeds counted in their own things: pages read, laps run, goals scored.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

_D = "v deed, day weekday, day2 weekday, day3 weekday"

SCHEMAS = (
    schema(
        "deeds/two_days",
        "x tally, y tally",
        _D,
        (
            "{A} {vs} [x] {of v} on {day} and [y] {of v} on {day2}.",
            "{A} {vs} [x] {of v} on {day}. ~on {day2}, {he} {vs} [y] (more|{of v}).",
            "{A} {vs} [x] {of v} on {day}. ~{he} {vs} [y] {of v} on {day2}.",
            "on {day}, {A} {vs} [x] {of v} and on {day2} [y].",
        ),
        (
            ask(
                "x + y",
                "how many {of v} did {@A} {v} <total>?",
                "how many {of v} did {@A} {v}?",
                "how many {of v} did {@A} {v} on {day} and {day2} (together|)?",
                "how many {of v} did {@A} {v} on the two days <total>?",
            ),
            ask(
                "x - y",
                "how many more {of v} did {@A} {v} on {day} than on {day2}?",
                "how many fewer {of v} did {@A} {v} on {day2} than on {day}?",
                "how many more {of v} did {@A} {v} on {day}?",
                "what is the difference between the two days?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "deeds/three_days",
        "x tally, y tally, z tally",
        _D,
        (
            "{A} {vs} [x] {of v} on {day}, [y] {of v} on {day2} and [z] {of v} on {day3}.",
            "on {day} {A} {vs} [x] {of v}. on {day2} {he} {vs} [y]. ~on {day3} {he} {vs} [z].",
            "{A} {vs} [x] {of v} on {day}, [y] on {day2}, and [z] on {day3}.",
        ),
        (
            ask(
                "x + y + z",
                "how many {of v} did {@A} {v} <total>?",
                "how many {of v} did {@A} {v} over the three days?",
            ),
            ask("x + y", "how many {of v} did {@A} {v} on {day} and {day2} (together|)?"),
            ask("y + z", "how many {of v} did {@A} {v} on {day2} and {day3} <total>?"),
            ask("x - z", "how many more {of v} did {@A} {v} on {day} than on {day3}?"),
            ask("x - y", "how many fewer {of v} did {@A} {v} on {day2} than on {day}?"),
        ),
        where="x > y, x > z",
    ),
    schema(
        "deeds/times_of_day",
        "x some, y some, z some",
        "v deed",
        (
            "{A} {vs} [x] {of v} in the morning, [y] {of v} in the afternoon and [z] {of v} in the evening.",
            "{A} {vs} [x] {of v} in the morning. {he} {vs} [y] in the afternoon and [z] in the evening.",
            "~in the morning {A} {vs} [x] {of v}, in the afternoon [y], and in the evening [z].",
        ),
        (
            ask(
                "x + y + z",
                "how many {of v} did {@A} {v} <total>?",
                "how many {of v} did {@A} {v} in the day?",
                "how many {of v} did {@A} {v} that day?",
            ),
            ask(
                "x + y",
                "how many {of v} did {@A} {v} in the morning and in the afternoon?",
                "how many {of v} did {@A} {v} before the evening?",
            ),
            ask(
                "y + z",
                "how many {of v} did {@A} {v} in the afternoon and evening?",
                "how many {of v} did {@A} {v} after the morning?",
            ),
            ask(
                "x - y",
                "how many more {of v} did {@A} {v} in the morning than in the afternoon?",
                "how many fewer {of v} did {@A} {v} in the afternoon than in the morning?",
            ),
            ask("x - z", "how many more {of v} did {@A} {v} in the morning than in the evening?"),
        ),
        where="x > y, x > z",
    ),
    schema(
        "deeds/two_times_of_day",
        "x tally, y tally",
        "v deed",
        (
            "{A} {vs} [x] {of v} in the morning and [y] {of v} in the (afternoon|evening).",
            "{A} {vs} [x] {of v} in the morning. ~{he} {vs} [y] {of v} in the (afternoon|evening).",
            "~{A} {vs} [x] {of v} before (lunch|dinner|school) and [y] after it.",
        ),
        (
            ask(
                "x + y",
                "how many {of v} did {@A} {v} <total>?",
                "how many {of v} did {@A} {v} (in the day|that day|)?",
            ),
            ask(
                "x - y",
                "how many more {of v} did {@A} {v} (the first time|at first) than later?",
                "what is the difference?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "deeds/weeks",
        "x tally, y tally",
        "v deed",
        (
            "{A} {vs} [x] {of v} last week. ~this week {he} {vs} [y] {of v}.",
            "last (week|month|year) {A} {vs} [x] {of v}, and this (week|month|year) {he} {vs} [y].",
        ),
        (
            ask("x + y", "how many {of v} did {@A} {v} <total>?"),
            ask(
                "x - y",
                "how many more {of v} did {@A} {v} last time than this time?",
                "how many fewer {of v} did {@A} {v} this time?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "deeds/two_people",
        "x tally, y tally",
        "v deed",
        (
            "{A} {vs} [x] {of v}. ~{B} {vs} [y] {of v}.",
            "~{A} {vs} [x] {of v} and {B} {vs} [y] {of v}.",
            "&{A} {vs} [x] {of v}. &{B} {vs} [y] {of v}.",
            "~{A} {vs} [x] {of v}, while {B} {vs} [y].",
        ),
        (
            ask(
                "x + y",
                "how many {of v} did they {v} <total>?",
                "how many {of v} did {A} and {B} {v} (together|<total>)?",
            ),
            ask(
                "x - y",
                "how many more {of v} did {A} {v} than {B}?",
                "how many fewer {of v} did {B} {v} than {A}?",
                "how many more {of v} does {B} have to {v} to catch up with {A}?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "deeds/more",
        "x tally, d tally",
        "v deed",
        (
            "{A} {vs} [x] {of v}. ~{B} {vs} [d] more {of v} than {A}.",
            "~{B} {vs} [d] more {of v} than {A}, who {vs} [x] {of v}.",
            "{A} {vs} [d] fewer {of v} than {B}. ~{A} {vs} [x] {of v}.",
        ),
        (
            ask("x + d", "how many {of v} did {B} {v}?", "how many did {B} {v}?"),
            ask("x + (x + d)", "how many {of v} did they {v} <total>?"),
        ),
    ),
    schema(
        "deeds/more_today",
        "x tally, d tally",
        "v deed",
        (
            "{A} {vs} [x] {of v} yesterday. ~today {he} {vs} [d] more than yesterday.",
            "~today {A} {vs} [d] more {of v} than yesterday, when {he} {vs} [x].",
        ),
        (
            ask("x + d", "how many {of v} did {@A} {v} today?"),
            ask("x + (x + d)", "how many {of v} did {@A} {v} on both days <total>?"),
        ),
    ),
    schema(
        "deeds/fewer_today",
        "x tally, d tally",
        "v deed",
        (
            "{A} {vs} [x] {of v} yesterday. ~today {he} {vs} [d] fewer than yesterday.",
            "~{A} {vs} [x] {of v} on Monday and [d] fewer on Tuesday.",
        ),
        (
            ask(
                "x - d", "how many {of v} did {@A} {v} the second day?", "how many was it on the second day?"
            ),
            ask("x + (x - d)", "how many {of v} did {@A} {v} on both days <total>?"),
        ),
        where="x > d",
    ),
    schema(
        "deeds/fewer",
        "x tally, d tally",
        "v deed",
        (
            "{A} {vs} [x] {of v}. ~{B} {vs} [d] fewer {of v} than {A}.",
            "{A} {vs} [x] {of v}, [d] more than {B}.",
            "{A} {vs} [d] more {of v} than {B}. ~{A} {vs} [x] {of v}.",
        ),
        (
            ask("x - d", "how many {of v} did {B} {v}?", "how many did {B} {v}?"),
            ask("x + (x - d)", "how many {of v} did they {v} <total>?"),
        ),
        where="x > d",
    ),
    schema(
        "deeds/times",
        "x some, k few",
        "v deed",
        (
            "{A} {vs} [x] {of v}. ~{B} {vs} [k] times as many.",
            "~{B} {vs} [k] times as many {of v} as {A}, who {vs} [x].",
            "{A} {vs} [x] {of v} last week. ~{B} {vs} [k] times as many {of v} as {A}.",
        ),
        (
            ask("x * k", "how many {of v} did {B} {v}?"),
            ask("x + x * k", "how many {of v} did they {v} <total>?"),
            ask("x * k - x", "how many more {of v} did {B} {v} than {A}?"),
        ),
    ),
)
