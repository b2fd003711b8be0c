"""Equal groups: how many in all, in each, or how many groups.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.embedded.templates.schema import ask, schema

SCHEMAS = (
    schema(
        "groups/total",
        "k group, x some",
        "item thing, box container",
        (
            "{A} has [k box]. ~each {box} (has|holds|contains) [x item].",
            "there are [k box] (in the room|on the table|in the store|). ~there are [x item] in each {box}.",
            "{A} (bought|has|filled|packed) [k] {boxs} of {items} with [x item] in each (one|{box}).",
            "~{A} (puts|put) [x item] in each of [k box].",
            "~each {box} holds [x item] and {A} has [k box].",
            "{A} (has|bought|made) [k box]. ~every {box} has [x item] (in it|inside).",
            "~{A's} {items} are in [k box] with [x] in each.",
        ),
        (
            ask(
                "k * x",
                "how many {items} are there <total>?",
                "how many {items} does {@A} have <total>?",
                "what is the total number of {items}?",
                "how many {items} are in the {boxs} <total>?",
                "how many {items} does {@A} have?",
            ),
        ),
    ),
    schema(
        "groups/total_first",
        "k group, x some",
        "item thing, box container",
        (
            "there are [x item] in each {box}. ~{A} (has|buys|bought|sees) [k box].",
            "~one {box} holds [x item] and there are [k] such {boxs}.",
            "{items} (are sold|come) in {boxs} of [x]. ~{A} (buys|bought|needs|gets) [k box].",
            "{a box} of {items} has [x item] in it. ~{A} gets [k box].",
        ),
        (
            ask(
                "x * k",
                "how many {items} does {@A} have (<total>|)?",
                "how many {items} are there <total>?",
                "how many {items} will there be <total>?",
                "how many {items} (is that|are in all the {boxs})?",
            ),
        ),
    ),
    schema(
        "groups/partition",
        "q any, k group, x =q * k",
        "item thing, box container",
        (
            "{A} has [x item]. ~{he} (puts|wants to put|packs|divides) them <equally> (into|in) [k box].",
            "~[x item] are (packed|placed|put|divided) <equally> into [k box].",
            "{A} (has|made|bought|picked) [x item]. {he} has [k] {boxs} (to put them in|too|for them). ~each {box} gets <same> {items}.",
            "there are [x item] in [k box]. ~each {box} has <same> {items}.",
            "{A} wants to split [x item] into [k] groups of the same size, one for each {box}.",
        ),
        (
            ask(
                "x / k",
                "how many {items} (will be|are|go|should be) in each {box}?",
                "how many {items} does each {box} have?",
                "what is the number of {items} (in each|per) {box}?",
            ),
        ),
        roles="shopkeeper, baker, teacher, worker, clerk",
    ),
    schema(
        "groups/share",
        "q any, k group, x =q * k",
        "item small, kid child",
        (
            "{A} has [x item]. ~{he} (shares|wants to share|divides|shared) them <equally> (among|between|with) [k] {kids}.",
            "~[x item] (are|were) shared <equally> (among|between) [k] {kids}.",
            "{A} (baked|bought|brought|has) [x item] for [k] {kids}. ~each {kid} gets <same> {items}.",
            "there are [k] {kids} in {A's} class. ~{A} gives them [x item] <total>, and each {kid} gets <same> {items}.",
            "[k] {kids} (found|won|picked) [x item] together. ~they share them <equally>.",
        ),
        (
            ask(
                "x / k",
                "how many {items} (does|will|did) each {kid} get?",
                "how many {items} does each {kid} receive?",
                "how many {items} (are there for each {kid}|will each of them get)?",
                "how many would each {kid} get?",
            ),
        ),
        roles="teacher, coach, baker, grandmother",
    ),
    schema(
        "groups/measure",
        "q any, k few, x =q * k",
        "item thing, box container",
        (
            "{A} has [x item]. ~each {box} (can hold|holds|has room for) [k item].",
            "{A} (made|baked|picked|bought) [x item]. ~{he} (puts|packed|packs) them in {boxs} of [k].",
            "~{A} (puts|wants to put) [k item] in each {box} and has [x item].",
            "there are [x item] <total>. ~there are [k item] in each {box}.",
            "~{A} (packs|packed|put) [x item] into {boxs} with [k] in each.",
            "(a baker|a farmer|a store|{A}) has [x item] to pack. ~every {box} holds [k].",
        ),
        (
            ask(
                "x / k",
                "how many {boxs} (does {@A} need|are needed|will be needed|are there)?",
                "how many {boxs} are there?",
                "how many {boxs} can be filled?",
                "how many {boxs} does {@A} have?",
                "how many {boxs} will {@A} need?",
            ),
        ),
        roles="baker, farmer, shopkeeper, gardener",
    ),
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
        "groups/rows",
        "k group, x some",
        "plant plant",
        (
            "{A} (planted|plants) [k] rows of {plants} with [x plant] in each row.",
            "there are [k] rows of {plants} in {A's} garden. ~each row has [x plant].",
            "~a (field|garden|farm) has [k] rows of [x plant] each.",
            "{A} is planting a garden. ~{he} makes [k] rows and puts [x plant] in every row.",
        ),
        (
            ask(
                "k * x",
                "how many {plants} are there <total>?",
                "how many {plants} are in the ground <total>?",
                "what is the total number of {plants}?",
            ),
        ),
        roles="farmer, gardener",
    ),
    schema(
        "groups/rows_divide",
        "q some, k group, x =q * k",
        "plant plant",
        (
            "{A} has [x plant] to plant. ~{he} wants to plant them in [k] equal rows.",
            "~{A} (plants|planted) [x plant] in [k] rows with <same> {plants} in each row.",
        ),
        (
            ask(
                "x / k",
                "how many {plants} (are|will be|go) in each row?",
                "how many {plants} should there be in each row?",
            ),
        ),
        roles="farmer, gardener",
    ),
    schema(
        "groups/rows_count",
        "q some, k few, x =q * k",
        "plant plant",
        (
            "{A} has [x plant]. ~{he} (plants|puts|wants to plant) [k] (of them|{plants}) in each row.",
            "~{A} (plants|planted) [x plant] in rows of [k].",
        ),
        (
            ask(
                "x / k",
                "how many rows (are there|will there be|can {@A} make|does {@A} need)?",
                "how many rows are there?",
            ),
        ),
        roles="farmer, gardener",
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
