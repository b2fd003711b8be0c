"""Equal groups: how many in all, in each, or how many groups.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

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
            "{A} spreads [x item] over [k] {boxs} so that each has as many as the next.",
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
            "{A} has [x item] to pack. ~every {box} holds [k].",
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
)
