"""Deeds counted in their own things: pages read, laps run, goals scored, emails sent.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.embedded.templates.schema import ask, schema

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
    schema(
        "deeds/daily",
        "p some, k few",
        "v deed",
        (
            "{A} {vs} [p] {of v} (every|each|a) day for [k] days.",
            "~for [k] days, {A} {vs} [p] {of v} (every|each|a) day.",
            "~{A} {vs} [p] {of v} a week for [k] weeks.",
        ),
        (
            ask(
                "p * k",
                "how many {of v} did {@A} {v} <total>?",
                "how many {of v} is that <total>?",
                "how many {of v} did {@A} {v}?",
            ),
        ),
    ),
    schema(
        "deeds/every_day_plan",
        "p some, k few",
        "v deed",
        (
            "{A} wants to {v} [p] {of v} (every|each|a) day.",
            "{A} can {v} [p] {of v} (in one|in a|each|per) day.",
            "{A} plans to {v} [p] {of v} a day.",
        ),
        (
            ask(
                "p * k",
                "how many {of v} (can|will) {@A} {v} in [k] days?",
                "how many {of v} is that in [k] days?",
            ),
            ask("p * 7", "how many {of v} is that in a week?"),
        ),
    ),
    schema(
        "deeds/per_day",
        "p some, k few, t =p * k",
        "v deed",
        (
            "{A} {vs} [t] {of v} in [k] days. ~{he} {vs} the same number (every|each) day.",
            "~in [k] days {A} {vs} [t] {of v}, the same number each day.",
            "{A} {vs} [t] {of v} over [k] days.",
            "~{A} has [k] days to {v} [t] {of v}.",
        ),
        (
            ask(
                "t / k",
                "how many {of v} is that (per|each|a) day?",
                "how many {of v} (per|each|a) day is that?",
                "how many {of v} a day does that make?",
            ),
        ),
    ),
    schema(
        "deeds/how_many_days",
        "p some, k few, t =p * k",
        "v deed",
        (
            "{A} (wants|has|needs) to {v} [t] {of v}. ~{he} can {v} [p] {of v} (a|each|per|every) day.",
            "~{A} can {v} [p] {of v} a day and has to {v} [t].",
            "{A} {vs} [t] {of v} <total>. ~{he} {vs} [p] {of v} (each|every|a) day.",
        ),
        (
            ask(
                "t / p",
                "how many days does it take {A}?",
                "how many days is that?",
                "how many days does {@A} need?",
            ),
        ),
    ),
    schema(
        "deeds/goal",
        "t tally, x tally, y tally",
        _D,
        (
            "{A} (wants|has|plans) to {v} [t] {of v}. {he} {vs} [x] on {day} and [y] on {day2}.",
            "{A's} goal is to {v} [t] {of v}. ~{he} {vs} [x] {of v} on {day} and [y] on {day2}.",
        ),
        (
            ask(
                "t - x - y",
                "how many more {of v} (does {@A} have to|must {@A}) {v}?",
                "how many {of v} are left to {v}?",
                "how many more {of v} does {@A} need to {v}?",
            ),
            ask("x + y", "how many {of v} did {@A} {v} <total>?"),
        ),
        where="t > x + y",
    ),
    schema(
        "deeds/goal_simple",
        "t tally, x tally",
        _D,
        (
            "{A} (wants|has|plans|needs) to {v} [t] {of v}. ~(so far|on {day}) {he} {vs} [x].",
            "{A's} goal is to {v} [t] {of v} (this month|this week|by {day}). ~{he} {vs} [x] (already|so far).",
            "~{A} {vs} [x] of the [t] {of v} {he} has to {v}.",
        ),
        (
            ask(
                "t - x",
                "how many more {of v} (does {@A} have to|must {@A}|does {@A} need to) {v}?",
                "how many {of v} are left?",
                "how many {of v} does {@A} still have to {v}?",
            ),
        ),
        where="t > x",
    ),
    schema(
        "deeds/twice_then_more",
        "x some, d few",
        "v deed",
        (
            "{A} {vs} [x] {of v} on Monday. on Tuesday {he} {vs} twice as many (as on Monday|).",
            "~{A} {vs} [x] {of v} in the first week and twice as many in the second.",
        ),
        (
            ask(
                "x + x * 2",
                "how many {of v} did {@A} {v} <total>?",
                "how many {of v} did {@A} {v} in both together?",
            ),
            ask("x * 2", "how many {of v} did {@A} {v} the second time?"),
        ),
    ),
    schema(
        "deeds/team_points",
        "t tally, x tally, y tally",
        "sport sport",
        (
            "{A's} {sport} team scored [t] points. {A} scored [x] (of them|points). ~{B} scored [y] (points|of them).",
            "{A} scored [x] points and {B} scored [y] points in a {sport} game. ~their team scored [t] points <total>.",
        ),
        (
            ask("t - x - y", "how many points did the (other players|rest of the team) score?"),
            ask("x + y", "how many points did {A} and {B} score together?"),
            ask("x - y", "how many more points did {A} score than {B}?"),
            ask("t - x", "how many points did the players other than {A} score?"),
        ),
        where="t > x + y, x > y",
    ),
    schema(
        "deeds/players_points",
        "k few, p few, t =k * p, e some",
        "sport sport",
        (
            "{A} played [k] (games|rounds) of {sport} and (scored|got|won) [p] points in each.",
            "{a sport} team has [k] players. ~each player scored [p] points.",
            "~in {a sport} game, [k] players scored [p] points each.",
        ),
        (
            ask(
                "k * p",
                "how many points (is that|were scored) <total>?",
                "what is the total number of points?",
                "how many points were scored <total>?",
            ),
            ask("k * p + e", "how many points is that <total> with [e] bonus points?"),
        ),
    ),
    schema(
        "deeds/points_per_game",
        "k few, p some, t =k * p",
        "sport sport",
        (
            "{A} scored [t] points in [k] {sport} games. ~{he} scored the same number in each game.",
            "~in [k] {sport} games {A} scored [t] points, the same number each time.",
            "{a sport} team of [k] players scored [t] points. ~each player scored the same number.",
        ),
        (
            ask(
                "t / k",
                "how many points (is that|were there) (for each|each time)?",
                "how many points is that each?",
            ),
        ),
    ),
)
