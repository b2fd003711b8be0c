"""Rates: per hour, per day, speed and distance.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "rates/per_time",
        "p some, k few",
        "v make, item thing, u span",
        (
            "{A} can {v} [p item] (per|in one|each|every) {u}.",
            "{A} {vs} [p item] (each|every|per) {u}.",
            "in one {u}, {A} can {v} [p item].",
            "~{A} {vs} [p item] every {u}.",
        ),
        (
            ask(
                "p * k",
                "how many {items} can {@A} {v} in [k] {us}?",
                "how many {items} is that in [k] {us}?",
                "how many {items} did {@A} {v} in [k] {us}?",
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
        "v make, item thing, u span",
        (
            "{A} {vs} [t item] in [k] {us}.",
            "~in [k] {us}, {A} {vs} [t item].",
            "it took {A} [k] {us} to {v} [t item]. ~{he} worked at a steady speed.",
            "~{A} {vs} [t item] in [k] {us}, the same number each {u}.",
        ),
        (
            ask(
                "t / k",
                "how many {items} did {@A} {v} (per|each|every|in one) {u}?",
                "how many {items} is that per {u}?",
                "how many {items} did {@A} {v} in each {u}?",
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
)
