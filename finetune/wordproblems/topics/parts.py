"""Combine problems: a part or what is still missing is asked; parts of places.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "combine/unknown_part",
        "t any, x any",
        "item dyed, one color, two color",
        (
            "{A} has [t item]. ~[x] of them are {one} and the (rest|others) are {two}.",
            "there are [t item] in (a|the) (box|bag|shop|room). ~[x] of (them|the {items}) are {one} and the rest are {two}.",
            "of the [t item] {A} (has|bought|owns), [x] are {one} and the others are {two}.",
            "{A} bought [t item]. ~[x] are {one}. ~all the others are {two}.",
        ),
        (
            ask(
                "t - x",
                "how many {two} {items} are there?",
                "how many {items} are {two}?",
                "how many of the {items} are {two}?",
                "how many {two} {items} does {@A} have?",
                "how many are not {one}?",
            ),
        ),
        where="t > x",
    ),
    schema(
        "combine/unknown_person",
        "t any, x any",
        "item thing",
        (
            "{A} and {B} have [t item] (together|<total>). ~{A} has [x] of them.",
            "~together, {A} and {B} (collected|found|made|have) [t item] and {A} (collected|found|made|has) [x item].",
            "{A} (picked|baked|found) [x item]. ~{he} and {B} (picked|baked|found) [t item] <total>.",
        ),
        (
            ask(
                "t - x",
                "how many {items} (does {B} have|are from {B}|belong to {B})?",
                "how many of the {items} are from {B}?",
            ),
        ),
        where="t > x",
    ),
    schema(
        "combine/unknown_of_three",
        "t any, x any, y any",
        "item dyed, one color, two color, three color",
        (
            "there are [t item] in a (box|bag|basket|drawer). ~[x] are {one}, [y] are {two} and the rest are {three}.",
            "{A} has [t item]. [x] of them are {one}. ~[y] of them are {two} and the others are {three}.",
            "~{A} (bought|owns) [t item], of which [x] are {one}, [y] are {two} and the remaining ones are {three}.",
        ),
        (
            ask(
                "t - x - y",
                "how many {items} are {three}?",
                "how many {three} {items} are there?",
                "how many are {three}?",
            ),
            ask("t - x", "how many {items} are not {one}?"),
            ask("x + y", "how many {items} are {one} or {two}?"),
        ),
        where="t > x + y",
    ),
    schema(
        "combine/audience",
        "t any, x any, y any",
        "show show",
        (
            "[t] people (went to|attended|were at) ({a show}|the {show}). ~[x] of them were (adults|men|grown-ups) and the rest were children.",
            "there were [t] people at ({a show}|the {show}). ~[x] were adults.",
            "of the [t] people (at|who saw) the {show}, [x] were adults.",
        ),
        (
            ask(
                "t - x",
                "how many (people were not grown up|of the people were not adults|people were children)?",
                "how many children (came|were there|were at the {show})?",
            ),
        ),
        where="t > x",
    ),
    schema(
        "combine/shelves",
        "x any, y any, z any",
        "item school, surf surface",
        (
            "there are [x item] on the (top|first) {surf}, [y] on the (middle|second) {surf} and [z] on the (bottom|third) {surf}.",
            "the (top|first) {surf} (has|holds) [x item], the (middle|second) one [y] and the (bottom|third) one [z].",
        ),
        (
            ask(
                "x + y + z",
                "how many {items} are there <total>?",
                "how many {items} are on the three {surfs} <total>?",
            ),
            ask("x - y", "how many more {items} are on the first {surf} than on the second?"),
            ask("y + z", "how many {items} are not on the first {surf}?"),
        ),
        where="x > y",
    ),
    schema(
        "combine/rooms",
        "x few, y few, z few",
        "item home",
        (
            "{A's} house has [x item] in the kitchen, [y] in the living room and [z] in the bedroom.",
            "~{A} put [x item] in the kitchen, [y item] in the hall and [z item] in the bedroom.",
            "{A} counted the {items} at home. there were [x] in the kitchen, [y] upstairs and [z] in the garage.",
        ),
        (
            ask(
                "x + y + z",
                "how many {items} are there <total>?",
                "how many {items} (are in the house|does {@A} have at home)?",
            ),
            ask("x + y", "how many {items} are there <total> without those in the (last|third) room?"),
        ),
    ),
    schema(
        "combine/animals",
        "x any, y any, z any",
        "one farm, two farm, three farm",
        (
            "{A} has [x one], [y two] and [z three] on {his} farm.",
            "(a|the) farmer (keeps|has|owns) [x one], [y two], and [z three].",
            "there are [x one] and [y two] (on|at) (a|the) farm. there are [z three] too.",
            "~{A} counted [x one], [y two] and [z three] (on the farm|in the field|at the fair).",
        ),
        (
            ask(
                "x + y + z",
                "how many animals are there <total>?",
                "what is the total number of animals?",
                "how many animals are there?",
            ),
            ask(
                "x - y",
                "how many more {ones} than {twos} are there?",
                "by how many do the {ones} outnumber the {twos}?",
            ),
            ask("x + y", "how many {ones} and {twos} are there <total>?"),
        ),
        where="x > y",
        roles="farmer, rancher",
    ),
    schema(
        "combine/need_more",
        "t any, x any, y any",
        "item small",
        (
            "{A} (wants|needs|would like) [t item] for (a party|school|a project|the fair). ~{he} (already has|has made|has) [x item].",
            "~{A} has [x item] and (needs|wants) [t item] <total>.",
            "{A} is (making|collecting|buying) {items}. {his} goal is [t item]. ~so far {he} has [x].",
            "{A} needs [t item]. ~{he} has [x item] and {B} gives {him} [y].",
        ),
        (
            ask(
                "t - x",
                "how many (more|additional) {items} (were|are) needed (without help from anyone|in addition to the [#x])?",
            ),
        ),
        where="t > x + y",
    ),
    schema(
        "combine/need_more_simple",
        "t any, x any",
        "item small, day weekday",
        (
            "{A} (wants|needs|has to make|has to sell) [t item] (for a party|for school|by {day}|). ~{he} (already has|has) [x item].",
            "~{A} has [x item] but (needs|wants) [t item] <total>.",
            "{A} (wants to collect|hopes to get|plans to have) [t item]. ~so far {he} has [x].",
            "a (project|recipe|game) needs [t item]. ~{A} has (only|just) [x].",
        ),
        (
            ask(
                "t - x",
                "how many more {items} does {@A} need?",
                "how many (more|additional|other) {items} must {@A} get?",
                "how many {items} are (still missing|missing|still needed)?",
                "how many more does {@A} need?",
            ),
        ),
        where="t > x",
    ),
)
