"""Time: conversions, durations, reading a book page by page.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "rates/read_pages",
        "p some, k few",
        "day weekday",
        (
            "{A} reads [p] pages (of {his} book|) (a|each|every) (day|night).",
            "~{A} (reads|writes|can read) [p] pages (per|each|a) day.",
        ),
        (
            ask(
                "p * k",
                "how many pages does {@A} get through in [k] days?",
                "how many pages is that in [k] days?",
                "how many pages will {@A} finish after [k] days?",
            ),
            ask("p * 7", "how many pages is that in a week?"),
        ),
    ),
    schema(
        "rates/read_left",
        "t 80-600, x mid, y mid",
        "day weekday, day2 weekday",
        (
            "{A} is reading a book (with|that has) [t] pages. ~{he} (read|finished) [x] pages on {day} and [y] pages on {day2}.",
            "a book has [t] pages. ~{A} read [x] pages (yesterday|in the morning) and [y] pages (today|in the evening).",
            "{A} read [x] pages on {day}. {he} read [y] (pages|more pages) on {day2}. ~the book has [t] pages.",
        ),
        (
            ask(
                "t - x - y",
                "how many pages (are left|does {@A} still have to read|are there still to read)?",
                "how many pages does {@A} have left to read?",
            ),
            ask("x + y", "how many pages did {@A} read <total>?", "how many pages has {@A} read so far?"),
        ),
        where="t > x + y",
    ),
    schema(
        "rates/read_left_simple",
        "t 60-600, x any",
        "",
        (
            "{A} is reading a [#t]-page book. ~{he} has (already|) read [x] pages.",
            "{A's} book has [t] pages. ~{he} is on page [#x].",
            "~{A} has read [x] of the [t] pages of {his} book.",
            "a book has [t] pages. ~{A} (finished|read) [x] pages (last week|yesterday).",
        ),
        (
            ask(
                "t - x",
                "how many (more|) pages are left?",
                "how many (more pages|pages) does {@A} (still|) have to read?",
                "how many pages does {@A} need to read to finish the book?",
            ),
        ),
        where="t > x",
    ),
    schema(
        "rates/read_days",
        "q few, k some, t =q * k",
        "",
        (
            "a book has [t] pages. ~{A} reads [k] pages (a|each|every|per) day.",
            "~{A} reads [k] pages a day of {his} [#t]-page book.",
            "{A} wants to finish a book of [t] pages. ~{he} reads [k] pages each night.",
        ),
        (
            ask(
                "t / k",
                "how many days (will it take|does it take|does {@A} need) (to finish it|to finish the book|to read it)?",
                "in how many days will {@A} finish?",
                "how long will it take {A} to finish the book?",
            ),
        ),
    ),
    schema(
        "rates/read_per_day",
        "q few, k some, t =q * k",
        "",
        (
            "a book has [t] pages. ~{A} (wants to finish|finished|read) it in [q] days, reading the same number of pages each day.",
            "~{A} read a [#t]-page book in [q] days, with the same number of pages every day.",
        ),
        (
            ask(
                "t / q", "how many pages (per|each|a) day is that?", "how many pages does {@A} read each day?"
            ),
        ),
    ),
    schema(
        "rates/minutes_hours",
        "h few, m some",
        "sport sport",
        (
            "{A} (practiced|worked|studied|played {sport}|slept) for [h] hours.",
            "the (movie|show|trip|flight|class) (lasts|takes|is) [h] hours.",
            "~{A} (spent|needs) [h] hours (cleaning|painting|cooking|on homework).",
        ),
        (ask("h * 60", "how many minutes is that?", "how long is that in minutes?"),),
    ),
    schema(
        "rates/hours_and_minutes",
        "h few, m 5-55/5",
        "",
        (
            "{A} (practiced|worked|studied|played|walked) for [h] hours and [m] minutes.",
            "the (movie|show|trip|flight) (lasts|takes|is) [h] hours and [m] minutes.",
        ),
        (
            ask(
                "h * 60 + m",
                "how many minutes is that?",
                "how long is that in minutes?",
                "what is the time in minutes?",
            ),
        ),
    ),
    schema(
        "rates/to_hours",
        "h few, t =h * 60",
        "",
        (
            "{A} (practiced|worked|studied|drove|slept) for [t] minutes.",
            "the (movie|show|trip|flight) (lasts|takes) [t] minutes.",
        ),
        (ask("t / 60", "how many hours is that?", "how long is that in hours?"),),
    ),
    schema(
        "rates/weeks_days",
        "k some, e few",
        "",
        (
            "{A} (was away|stayed at camp|was on holiday|has waited) for [k] weeks.",
            "~{A's} (trip|vacation|visit|project) (lasts|takes|lasted) [k] weeks.",
            "(the holidays|the project|the course) (lasted|took) [k] weeks.",
        ),
        (
            ask("k * 7", "how many days is that?", "how long is that in days?"),
            ask("k * 7 + e", "how many days is that together with [e] more days?"),
        ),
    ),
    schema(
        "rates/days_weeks",
        "k some, t =k * 7",
        "",
        (
            "{A} (was away|stayed at camp|was on holiday) for [t] days.",
            "there are [t] days until {A's} birthday.",
            "the (project|course|tour) takes [t] days.",
        ),
        (ask("t / 7", "how many weeks is that?", "how long is that in weeks?"),),
    ),
    schema(
        "rates/years_months",
        "k few",
        "",
        (
            "{A} (lived|worked|studied|stayed) there for [k] years.",
            "{A's} (dog|cat|car|phone) is [k] years old.",
            "it took [k] years to build the (bridge|house|tower).",
        ),
        (ask("k * 12", "how many months is that?", "how long is that in months?"),),
    ),
    schema(
        "rates/weekly_times",
        "x few, k few",
        "chore chore, sport sport",
        (
            "{A} (practices|plays {sport}|trains|studies) [x] hours (a|each|every|per) day.",
            "~{A} spends [x] hours a day (reading|{chore}|practicing|on homework).",
        ),
        (
            ask(
                "x * k", "how many hours is that in [k] days?", "how many hours does {@A} spend in [k] days?"
            ),
            ask("x * 7", "how many hours is that in a week?"),
        ),
    ),
    schema(
        "rates/durations_add",
        "x 5-90, y 5-90, z 5-60",
        "",
        (
            "{A} (spent|worked) [x] minutes on math and [y] minutes on (reading|science|history).",
            "{A} practiced the (piano|violin|guitar) for [x] minutes (in the morning|yesterday) and [y] minutes (in the evening|today).",
            "~it took {A} [x] minutes to clean the kitchen and [y] minutes to clean the bedroom.",
        ),
        (
            ask(
                "x + y",
                "how many minutes is that <total>?",
                "how long did it take <total>?",
                "how much time did {@A} spend <total>?",
            ),
            ask(
                "x - y",
                "how many more minutes was the first than the second?",
                "how many minutes longer was the first one?",
            ),
            ask("x + y + z", "how many minutes is that <total> with a break of [z] minutes?"),
        ),
        where="x > y",
    ),
    schema(
        "rates/item_time",
        "m few, k some",
        "item thing",
        (
            "it takes {A} [m] minutes to (make|paint|fix|wash|wrap) one {item}. ~{he} has [k item] to do.",
            "~{A} needs [m] minutes for each {item} and has [k] of them.",
            "{A} spends [m] minutes on each {item}. ~there are [k item].",
        ),
        (
            ask(
                "m * k",
                "how many minutes (does {@A} need|is that|does it take) <total>?",
                "how long will it take <total>?",
                "how many minutes will all the {items} take?",
            ),
        ),
    ),
)
