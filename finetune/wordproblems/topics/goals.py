"""Deeds over many days, towards a goal, or by a team.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
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
        "v deed, day weekday, day2 weekday",
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
        "v deed, day weekday, day2 weekday",
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
