"""Rates and time: per hour, per day, speed and distance, conversions, durations, reading.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.embedded.templates.schema import ask, schema

SCHEMAS = (
    schema(
        "rates/per_time",
        "p some, k few",
        "item thing",
        (
            "{A} (makes|can make|sells|packs|counts) [p item] (in an|each|per|every) hour.",
            "~{A} (picks|makes|uses|sells|cleans) [p item] (a|each|every|per) (day|week).",
            "(a|the) machine (makes|fills|packs) [p item] (a|each|every|per) minute.",
            "in one (day|hour), {A} can (make|sort|paint) [p item].",
        ),
        (
            ask(
                "p * k",
                "how many {items} is that in [k] (times that long|such periods)?",
                "how many {items} will there be after [k] times as long?",
            ),
        ),
    ),
    schema(
        "rates/per_hour",
        "p some, k few",
        "item thing, who worker",
        (
            "{A} (makes|can make|sells|packs) [p item] (in an|each|per|every) hour. ~{he} works for [k] hours.",
            "~{a who} can (make|finish|pack) [p item] per hour and works [k] hours.",
            "a machine (makes|fills|packs|checks) [p item] (each|every|per) hour. ~it runs for [k] hours.",
            "~{A} (packs|makes|sorts) [p item] an hour for [k] hours.",
        ),
        (
            ask(
                "p * k",
                "how many {items} is that <total>?",
                "how many {items} are done <total>?",
                "how many {items} is that?",
                "what is the total number of {items}?",
            ),
        ),
        roles="baker, worker, gardener",
    ),
    schema(
        "rates/per_hour_days",
        "p some, k few, d few",
        "item thing",
        (
            "{A} (makes|packs|sells|sorts) [p item] (each|per|every) hour. {he} works [k] hours (a|each|every) day.",
            "~a factory makes [p item] an hour and runs for [k] hours a day.",
        ),
        (
            ask(
                "p * k * d",
                "how many {items} is that in [d] days?",
                "how many {items} are there after [d] days?",
            ),
            ask("p * k", "how many {items} is that each day?"),
            ask("k * d", "how many hours are worked in [d] days?"),
        ),
    ),
    schema(
        "rates/find_rate",
        "p some, k few, t =p * k",
        "item thing",
        (
            "{A} (made|packed|sold|picked|used) [t item] in [k] (hours|days|weeks|minutes).",
            "~in [k] (hours|days|weeks|minutes), {A} (made|packed|sold|picked) [t item].",
            "it took {A} [k] (hours|days|minutes) to (make|pack|count) [t item]. ~{he} worked at a steady speed.",
        ),
        (
            ask(
                "t / k",
                "how many {items} is that (each time|per unit of time)?",
                "how many {items} (is that|were there) for each of them?",
            ),
        ),
    ),
    schema(
        "rates/find_rate_day",
        "p some, k few, t =p * k",
        "item thing",
        (
            "{A} (made|packed|sold|picked|used) [t item] in [k] days. ~the number was the same every day.",
            "~in [k] days, {A} (made|packed|sold|picked) [t item], the same number each day.",
            "~{A} ate [t item] in [k] days, the same number each day.",
        ),
        (
            ask(
                "t / k",
                "how many {items} (is that|were there) (per|each|a) day?",
                "how many {items} were there in one day?",
            ),
        ),
    ),
    schema(
        "rates/find_time",
        "p few, k some, t =p * k",
        "item thing",
        (
            "{A} (uses|gives away|sells) [p item] (a|each|every|per) day. ~{he} has [t item] <total>.",
            "{A} (has|bought) [t item]. ~{he} (uses|gives away|sells|needs) [p] (a|each|every|per) day.",
            "~{A} can make [p item] a day and must make [t item].",
        ),
        (
            ask(
                "t / p",
                "how many days will that be?",
                "for how many days is that enough?",
                "how many days is that?",
            ),
        ),
    ),
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
        "rates/distance",
        "v 3-90, h few",
        "go transport, unit road",
        (
            "{a go} (travels|goes|moves) (at|with) [v] {unit} (per|an) hour. ~it travels for [h] hours.",
            "~{A} (drives|rides|travels) at [v] {unit} per hour for [h] hours.",
            "{A} (walks|runs|cycles|drives) [v] {unit} (every|each|an|per) hour. ~{he} keeps going for [h] hours.",
        ),
        (
            ask(
                "v * h",
                "how far (is that|is the way)?",
                "how many {unit} is that?",
                "what distance is covered?",
                "how many {unit} are covered <total>?",
            ),
        ),
    ),
    schema(
        "rates/speed",
        "v 3-90, h few, d =v * h",
        "go transport, unit road",
        (
            "{a go} (travels|goes|covers) [d] {unit} in [h] hours.",
            "~{A} (drove|rode|traveled|went) [d] {unit} in [h] hours.",
            "{A} needs [h] hours for a trip of [d] {unit}.",
        ),
        (
            ask(
                "d / h",
                "what is the speed in {unit} per hour?",
                "how many {unit} is that (per|in an|each) hour?",
                "how fast is that in {unit} per hour?",
            ),
        ),
    ),
    schema(
        "rates/travel_time",
        "v 3-90, h few, d =v * h",
        "go transport, unit road",
        (
            "{a go} goes [v] {unit} per hour. ~it has to go [d] {unit}.",
            "{A} lives [d] {unit} from the city. ~{he} drives at [v] {unit} per hour.",
            "~{A} (rides|walks|drives) [v] {unit} an hour and the trip is [d] {unit} long.",
        ),
        (
            ask(
                "d / v",
                "how many hours (does it take|will it take|is that)?",
                "how long does the trip take?",
                "how many hours are needed?",
            ),
        ),
    ),
    schema(
        "rates/trip_left",
        "d any, x any, y any",
        "unit road, town town",
        (
            "{A} is (driving|traveling|going) [d] {unit} to {a town}. ~{he} has gone [x] {unit}.",
            "a trip is [d] {unit} long. ~{A} (has driven|drove) [x] {unit} before lunch.",
            "{A} has to (walk|go|drive) [d] {unit}. ~so far {he} has done [x] {unit}.",
        ),
        (
            ask(
                "d - x",
                "how many (more|) {unit} are left?",
                "how much farther does {@A} have to go?",
                "how many more {unit} does {@A} have to go?",
            ),
        ),
        where="d > x",
    ),
    schema(
        "rates/distances_add",
        "x any, y any, z any",
        "unit road, day weekday, day2 weekday",
        (
            "{A} (ran|walked|biked|drove) [x] {unit} on {day} and [y] {unit} on {day2}.",
            "{A} (ran|walked|biked|jogged) [x] {unit} (in the morning|before school). ~{he} went [y] {unit} (in the evening|after school).",
            "~{A} drove [x] {unit} to the city and then [y] {unit} to {B's} house.",
        ),
        (
            ask(
                "x + y",
                "how many {unit} (is that|did {@A} go) <total>?",
                "how far did {@A} go <total>?",
                "what is the total distance?",
            ),
            ask(
                "x - y",
                "how many more {unit} was the first part than the second?",
                "how much farther did {@A} go the first time?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "rates/each_day_distance",
        "x few, k few, d 2-7",
        "unit road",
        ("{A} (runs|walks|bikes|swims) [x] {unit} (every|each|a) day.",),
        (
            ask(
                "x * k",
                "how many {unit} is that in [k] days?",
                "how many {unit} does {@A} cover in [k] days?",
            ),
            ask("x * 7", "how many {unit} is that in one week?", "how far does {@A} go in a week?"),
        ),
    ),
    schema(
        "rates/there_and_back",
        "x some, k few",
        "unit road",
        (
            "{A's} (school|work|office) is [x] {unit} from home. ~{he} (walks|bikes|drives) there and back (every|each) day.",
            "~it is [x] {unit} to (school|the library|the lake) and {A} goes there and back.",
        ),
        (
            ask("x * 2", "how many {unit} is (the round trip|that in a day)?", "how far is the round trip?"),
            ask("x * 2 * k", "how many {unit} is that for [k] days?"),
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
    schema(
        "rates/exercise",
        "x some, y some, d few",
        "ex exercise",
        (
            "{A} (did|does) [x] {ex} and {B} (did|does) [y] {ex} (in gym class|every day|in the morning).",
            "~{A} can do [x] {ex} and {B} can do [y].",
        ),
        (
            ask("x + y", "how many {ex} is that <total>?", "how many {ex} is that together?"),
            ask(
                "x - y",
                "how many more {ex} is that for {A} than for {B}?",
                "by how many {ex} is {A} better than {B}?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "rates/exercise_more",
        "x any, d some",
        "ex exercise",
        (
            "{A} did [x] {ex}. ~{B} did [d] more {ex} than {A}.",
            "~{B} did [d] more {ex} than {A}, who did [x].",
        ),
        (ask("x + d", "how many {ex} did {B} do?"), ask("x + (x + d)", "how many {ex} did they do <total>?")),
    ),
    schema(
        "rates/exercise_fewer",
        "x any, d some",
        "ex exercise",
        (
            "{A} did [x] {ex}, [d] more than {B}.",
            "{A} did [x] {ex}. ~{B} did [d] fewer {ex} than {A}.",
            "{A} did [d] more {ex} than {B}. ~{A} did [x] {ex}.",
        ),
        (ask("x - d", "how many {ex} did {B} do?"), ask("x + (x - d)", "how many {ex} did they do <total>?")),
        where="x > d",
    ),
)
