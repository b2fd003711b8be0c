"""Equal groups of people, seats, vehicles, legs and dozens.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "groups/people_groups",
        "q some, k few, x =q * k",
        "who group",
        (
            "there are [x] {whos} in (a|the) (class|school|camp|club). ~{A} (puts|divides|splits) them into (groups|teams) of [k].",
            "~[x] {whos} are split into teams with [k] {whos} (in|on) each (team|one).",
            "{A} wants to form (teams|groups) of [k] from [x] {whos}.",
        ),
        (
            ask(
                "x / k",
                "how many (teams|groups) (will there be|are there|can be made)?",
                "how many (teams|groups) are there <total>?",
            ),
        ),
        roles="teacher, coach",
    ),
    schema(
        "groups/people_teams",
        "q some, k few, x =q * k",
        "who group",
        (
            "there are [x] {whos} in (a|the) (class|school|camp|club). ~{A} (divides|splits|puts) them <equally> into [k] (groups|teams).",
            "~[x] {whos} are divided into [k] equal (groups|teams).",
            "~[x] {whos} make [k] teams of the same size.",
        ),
        (
            ask(
                "x / k",
                "how many {whos} (are|will be) (in|on) each (group|team)?",
                "how many {whos} does each team have?",
            ),
        ),
        roles="teacher, coach",
    ),
    schema(
        "groups/seats",
        "k group, x some, e some",
        "row seat, place place",
        (
            "({a place}|the {place}) has [k row]. ~each {row} (has|seats|can seat) [x] (people|visitors|guests).",
            "there are [k row] (in|at) the {place} and each {row} is for [x] people.",
        ),
        (
            ask(
                "k * x",
                "how many people can (sit|be seated) (there|in the {place}) <total>?",
                "how many seats are there <total>?",
            ),
            ask(
                "k * x - e",
                "how many seats are (empty|free) if [e] people are sitting?",
                "how many more people can sit down after [e] people have come?",
            ),
        ),
        where="k * x > e",
    ),
    schema(
        "groups/vehicles",
        "q few, k some, x =q * k",
        "bus vehicle, who group",
        (
            "[x] {whos} are going on a trip. ~each {bus} (holds|can carry|has seats for|takes) [k] {whos}.",
            "a school is taking [x] {whos} to the (zoo|museum|beach). ~[k] {whos} fit in one {bus}.",
            "~[x] {whos} travel in {buss} with [k] {whos} in each.",
        ),
        (
            ask(
                "x / k",
                "how many {buss} (are|will be) needed?",
                "how many {buss} do they need?",
                "how many {buss} are there?",
            ),
        ),
    ),
    schema(
        "groups/vehicles_total",
        "k few, x some, e few",
        "bus vehicle, who group",
        (
            "[k] {buss} (took|carried|brought) {whos} to the (zoo|museum|game). ~each {bus} had [x] {whos}.",
            "~[x] {whos} rode in each of the [k] {buss}.",
        ),
        (
            ask(
                "k * x",
                "how many {whos} (were there|went) <total>?",
                "how many {whos} are there in the {buss} <total>?",
            ),
            ask("k * x + e", "how many {whos} were there <total> if [e] more came on foot?"),
        ),
    ),
    schema(
        "groups/legs",
        "x some, y some",
        "four farm",
        (
            "{A} (sees|saw|has|counted) [x] (dogs|cats|horses|cows|goats) and [y] (chickens|ducks|birds|hens) (on the farm|in the yard|).",
            "there are [x] (cows|horses|sheep|pigs) and [y] (hens|chickens|geese|turkeys) (on a farm|in the barn).",
        ),
        (
            ask(
                "x * 4 + y * 2",
                "how many legs (are there|do the animals have) <total>?",
                "how many legs do they have <total>?",
            ),
            ask("x * 4", "how many legs do the animals that are not birds have <total>?"),
            ask("y * 2", "how many legs do the birds have <total>?"),
        ),
    ),
    schema(
        "groups/wheels",
        "x some, y some",
        "",
        (
            "{A} (sees|counts|saw) [x] (bicycles|bikes) and [y] cars (in the street|at school|in a parking lot).",
            "there are [x] bikes and [y] cars (in|at) the (garage|shop|parking lot).",
            "~a shop has [x] bicycles and [y] cars.",
        ),
        (
            ask("x * 2 + y * 4", "how many wheels (are there|do they have) <total>?"),
            ask("x * 2", "how many wheels do the (bikes|bicycles) have?"),
            ask("y * 4", "how many wheels do the cars have <total>?"),
        ),
    ),
    schema(
        "groups/dozen",
        "k few, e some, q some, x =q * 12",
        "item baked",
        (
            "{A} (bought|baked|made|has) [k] dozen {items}.",
            "~{A} needs [k] dozen {items} for a party.",
        ),
        (
            ask("k * 12", "how many {items} is that?", "how many {items} are there <total>?"),
            ask("k * 12 - e", "how many {items} are left after [e] of them are (eaten|sold|given away)?"),
        ),
        where="k * 12 > e",
        roles="baker, cook",
    ),
    schema(
        "groups/dozens_from",
        "q some, x =q * 12",
        "item baked",
        (
            "{A} has [x item]. ~{he} packs them by the dozen.",
            "~a bakery (sold|made|packed) [x item] in boxes of one dozen.",
        ),
        (ask("x / 12", "how many dozens (is that|are there)?", "how many dozen {items} are there?"),),
        roles="baker, farmer",
    ),
    schema(
        "groups/collections",
        "x any, k few",
        "item collectible, page school",
        (
            "{A} (has|keeps) {his} {items} in [k] (albums|boxes|folders|books). ~each (one|of them) has [x item].",
            "~{A} has [k] (albums|collections|sets) of [x item] each.",
        ),
        (
            ask(
                "k * x",
                "how many {items} does {@A} have <total>?",
                "how many {items} are in {A's} collection?",
            ),
        ),
    ),
    schema(
        "groups/three_factors",
        "x few, y few, z few",
        "item thing, box container",
        (
            "{A} has [x] (shelves|tables|carts). there are [y box] on each (one|of them). ~each {box} has [z item].",
            "~a store has [x] shelves with [y box] each, and every {box} holds [z item].",
        ),
        (
            ask("x * y * z", "how many {items} are there <total>?", "how many {items} is that <total>?"),
            ask("x * y", "how many {boxs} are there <total>?"),
        ),
    ),
)
