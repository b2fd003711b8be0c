"""Combine problems: the whole or a difference of its parts is asked.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "combine/two_people",
        "x any, y any, z any",
        "item thing",
        (
            "&{A} (has|had|owns) [x item]. &{B} (has|had|owns) [y item].",
            "~{A} (picked|found|made|bought|counted) [x item] and {B} (picked|found|made|bought|counted) [y item].",
            "&~{A} (brought|made|has) [x item]. &~{B} (brought|made|has) [y item].",
            "{A} and {B} (collect|like|sell) {items}. ~{A} has [x item] and {B} has [y].",
        ),
        (
            ask(
                "x + y",
                "how many {items} do they have <total>?",
                "how many {items} are there <total>?",
                "how many {items} do {A} and {B} have (together|<total>)?",
                "what is the total number of {items}?",
                "find the total number of {items} that {A} and {B} have.",
                "how many {items} (will|would) they have if they put them all together?",
            ),
            ask(
                "x - y",
                "how many more {items} does {A} have than {B}?",
                "how many fewer {items} does {B} have than {A}?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "combine/three_people",
        "x any, y any, z any",
        "item thing",
        (
            "&{A} (has|had) [x item]. &{B} (has|had) [y item]. &{C} (has|had) [z item].",
            "~{A} (has|picked|baked|brought) [x item], {B} (has|picked|baked|brought) [y], and {C} (has|picked|baked|brought) [z].",
            "{A}, {B} and {C} (went to collect|are selling|collected) {items}. {A} (got|sold|found) [x], {B} (got|sold|found) [y] and {C} (got|sold|found) [z].",
        ),
        (
            ask(
                "x + y + z",
                "how many {items} (do they have|are there) <total>?",
                "how many {items} do the three (of them|friends|children) have <total>?",
            ),
            ask("x + y", "how many {items} do {A} and {B} have (together|<total>)?"),
            ask("y + z", "how many {items} do {B} and {C} have (together|<total>)?"),
            ask("x - z", "how many more {items} does {A} have than {C}?"),
        ),
        where="x > z",
    ),
    schema(
        "combine/two_kinds",
        "x any, y any",
        "item dyed, one color, two color",
        (
            "{A} (has|had|bought) [x] {one} {items} and [y] {two} {items}.",
            "there are [x] {one} {items} and [y] {two} {items} in (a|the) (box|bag|store|drawer|room).",
            "~{A} (found|made|sold|counted) [x] {one} {items} and [y] {two} {items}.",
            "&there are [x] {one} {items}. &there are [y] {two} {items}.",
        ),
        (
            ask(
                "x + y",
                "how many {items} (are there|were there) <total>?",
                "how many {items} are there <total>?",
                "what is the total number of {items}?",
            ),
            ask(
                "x - y",
                "how many more {one} {items} than {two} {items} are there?",
                "how many fewer {two} than {one} {items} are there?",
                "what is the difference between the number of {one} {items} and the number of {two} {items}?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "combine/two_nouns",
        "x any, y any, z any",
        "item thing, other thing, third thing",
        (
            "{A} (has|had|bought|collected) [x item] and [y other].",
            "{A} (has|bought|counted) [x item], [y other] and [z third].",
            "there (are|were) [x item], [y other] and [z third] in the (box|bag|store|room|basket).",
            "{A} put [x item] and [y other] in a bag. {B} (also has|put in) [z third].",
        ),
        (
            ask(
                "x - y",
                "how many more {items} than {others} (are there|were there)?",
                "how many fewer {others} than {items} are there?",
            ),
            ask(
                "x + y",
                "how many {items} and {others} are there <total>?",
                "how many (things|items|objects) are (either {items} or {others}|{items} and {others}) (together|<total>)?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "combine/three_kinds",
        "x any, y any, z any",
        "item dyed, one color, two color, three color",
        (
            "{A} has [x] {one}, [y] {two} and [z] {three} {items}.",
            "(a|the) (box|bag|shop) has [x] {one} {items}, [y] {two} {items}, and [z] {three} {items}.",
            "&there are [x] {one} {items}. &there are [y] {two} {items}. &there are [z] {three} {items}.",
            "~{A} (bought|sold|counted) [x] {one} {items}, [y] {two} {items} and [z] {three} {items}.",
        ),
        (
            ask("x + y + z", "how many {items} are there <total>?", "what is the total number of {items}?"),
            ask("x + z", "how many {items} are (either {one} or {three}|{one} or {three}|not {two})?"),
            ask("x + y - z", "how many more {one} and {two} {items} are there than {three} {items}?"),
            ask("x - z", "how many more {one} than {three} {items} are there?"),
        ),
        where="x > z",
    ),
    schema(
        "combine/days",
        "x any, y any, z any",
        "v make, item thing, day weekday, day2 weekday",
        (
            "{A} {vs} [x item] on {day} and [y item] on {day2}.",
            "on {day}, {A} {vs} [x item]. ~on {day2}, {he} {vs} [y] more.",
            "~{A} {vs} [x item] (in the morning|yesterday|before lunch) and [y item] (in the afternoon|today|after lunch).",
        ),
        (
            ask(
                "x + y",
                "how many {items} did {@A} {v}?",
                "how many {items} did {@A} {v} <total>?",
                "what was the total number of {items}?",
            ),
            ask(
                "x - y",
                "how many more {items} were there (the first time|the first day|first) than (the second time|the second day|later)?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "combine/school_classes",
        "x mid, y mid, z some",
        "",
        (
            "there are [x] boys and [y] girls in (a|the|{A's}) (school|class|club|camp|grade).",
            "(a|the) (class|school|choir|club) has [x] boys and [y] girls. there are also [z] teachers.",
            "&[x] boys went (on the trip|to the museum|to the zoo). &[y] girls went (on the trip|along|there). [z] teachers went with them.",
            "~[x] boys and [y] girls (joined|are in|signed up for) the (chess club|school play|swim team|science fair) led by {A}.",
        ),
        (
            ask(
                "x + y",
                "how many (students|children|pupils) are there <total>?",
                "what is the total number of (children|students|boys and girls)?",
                "how many boys and girls are there <total>?",
            ),
            ask(
                "x - y",
                "how many more boys than girls are there?",
                "how many fewer girls than boys are there?",
            ),
        ),
        where="x > y",
    ),
)
