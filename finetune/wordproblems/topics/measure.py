"""Measures: lengths, weights, volumes.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "measure/cut_off",
        "t any, x any",
        "cloth cloth, unit short_length",
        (
            "{A} has [t] {unit} of {cloth}. ~{he} (cuts off|uses|used|sold|cut off) [x] {unit}.",
            "~a piece of {cloth} is [t] {unit} long and {A} cuts off [x] {unit}.",
            "{A} bought [t] {unit} of {cloth}. ~{he} needed [x] {unit} for a (dress|project|kite|tent).",
        ),
        (
            ask(
                "t - x",
                "how many {unit} are left?",
                "how much {cloth} is left?",
                "how long is the rest in {unit}?",
                "how many {unit} of {cloth} does {@A} have left?",
            ),
        ),
        where="t > x",
        roles="tailor, builder",
    ),
    schema(
        "measure/pieces",
        "q few, k few, t =q * k",
        "cloth cloth, unit short_length",
        ("{A} has [t] {unit} of {cloth}. ~{he} cuts it into pieces of [k] {unit}.",),
        (
            ask(
                "t / k", "how many pieces (are there|does {@A} get|is that)?", "how many pieces can {@A} cut?"
            ),
        ),
        roles="tailor, builder, carpenter",
    ),
    schema(
        "measure/equal_pieces",
        "q few, k few, t =q * k",
        "cloth cloth, unit short_length",
        (
            "{A} (cuts|cut) [t] {unit} of {cloth} into [k] equal pieces.",
            "~[t] {unit} of {cloth} are cut into [k] pieces of the same length.",
        ),
        (
            ask(
                "t / k",
                "how long is each piece (in {unit}|)?",
                "how many {unit} long is each piece?",
                "how many {unit} is each piece?",
            ),
        ),
        roles="tailor, builder, carpenter",
    ),
    schema(
        "measure/add_lengths",
        "x any, y any",
        "cloth cloth, unit short_length",
        (
            "{A} has a piece of {cloth} that is [x] {unit} long and another that is [y] {unit} long.",
            "one piece of {cloth} is [x] {unit} long. ~another piece is [y] {unit} long.",
            "~{A} bought [x] {unit} of {cloth} and {B} bought [y] {unit}.",
        ),
        (
            ask(
                "x + y",
                "how many {unit} (is that|are there) <total>?",
                "how long are they together?",
                "what is the total length?",
            ),
            ask(
                "x - y",
                "how many {unit} longer is the first than the second?",
                "what is the difference in length?",
                "how much longer is the first piece?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "measure/decimal_lengths",
        "x decimal, y decimal",
        "cloth cloth, unit short_length",
        (
            "{A} has [x] {unit} of {cloth}. ~{he} uses [y] {unit}.",
            "~the piece of {cloth} was [x] {unit} long and {A} cut off [y] {unit}.",
        ),
        (ask("x - y", "how many {unit} are left?", "how much {cloth} is left?"),),
        where="x > y",
        fractional=True,
    ),
    schema(
        "measure/decimal_add",
        "x decimal, y decimal",
        "w weight, item produce, other produce",
        (
            "{A} (bought|picked) [x] {w} of {items} and [y] {w} of {others}.",
            "~the {items} weigh [x] {w} and the {others} weigh [y] {w}.",
        ),
        (
            ask("x + y", "how many {w} is that <total>?", "what is the total weight?"),
            ask(
                "x - y",
                "how many more {w} of {items} than {others} are there?",
                "how much heavier are the {items}?",
            ),
        ),
        where="x > y",
        fractional=True,
    ),
    schema(
        "measure/weight_add",
        "x any, y any, z any",
        "w weight, item produce, other produce",
        (
            "{A} (bought|picked|sold|harvested) [x] {w} of {items} and [y] {w} of {others}.",
            "&the {items} weigh [x] {w}. &the {others} weigh [y] {w}.",
            "~{A} picked [x] {w} of {items} and {B} picked [y] {w} of {others}.",
        ),
        (
            ask(
                "x + y",
                "how many {w} is that <total>?",
                "what is the total weight?",
                "how many {w} of fruit and vegetables is that <total>?",
            ),
            ask(
                "x - y",
                "how many more {w} of {items} than of {others} is that?",
                "what is the difference in weight?",
            ),
        ),
        where="x > y",
        roles="farmer, shopkeeper",
    ),
    schema(
        "measure/body_weight",
        "x 20-120, y 2-60",
        "pet pet",
        (
            "{A} weighs [x] (pounds|kilograms|kg). ~{his} {pet} weighs [y].",
            "~{A} weighs [x] pounds and {B} weighs [y] pounds.",
        ),
        (
            ask("x + y", "how much do they weigh <total>?", "what do they weigh together?"),
            ask("x - y", "how much heavier is {A}?", "what is the difference in weight?"),
        ),
        where="x > y",
    ),
    schema(
        "measure/bags_weight",
        "k few, w some, y any",
        "unit weight, powder powder",
        (
            "{A} has [k] (bags|sacks) of {powder}. ~each (one|of them) weighs [w] {unit}.",
            "~each (bag|sack) of {powder} weighs [w] {unit} and {A} (buys|carries|has) [k].",
        ),
        (
            ask(
                "k * w",
                "how many {unit} is that <total>?",
                "what is the total weight?",
                "how much do they weigh <total>?",
            ),
            ask("k * w - y", "how many {unit} are left after [y] {unit} are used?"),
        ),
        where="k * w > y",
        roles="farmer, baker, cook",
    ),
    schema(
        "measure/bags_fill",
        "k few, w some, t =k * w",
        "unit weight, powder powder",
        (
            "{A} has [t] {unit} of {powder}. ~{he} puts [w] {unit} in each bag.",
            "~[t] {unit} of {powder} are put into bags of [w] {unit}.",
        ),
        (
            ask(
                "t / w",
                "how many bags (does {@A} need|are there|are needed|can {@A} fill)?",
                "how many bags are filled?",
            ),
        ),
        roles="farmer, baker, shopkeeper",
    ),
    schema(
        "measure/volume_left",
        "t any, x any",
        "unit volume, liquid liquid",
        (
            "there (are|were) [t] {unit} of {liquid} in a (tank|barrel|pot|jug). ~{A} (uses|used|takes out) [x] {unit}.",
            "{A} (has|bought) [t] {unit} of {liquid}. ~{he} (used|poured out|sold) [x] {unit}.",
        ),
        (ask("t - x", "how many {unit} (of {liquid} |)are left?", "how much {liquid} is left?"),),
        where="t > x",
    ),
    schema(
        "measure/volume_fill",
        "x any, y any, t any",
        "unit volume, liquid liquid",
        (
            "a (tank|barrel|bucket) holds [t] {unit}. ~there are (already|now|) [x] {unit} of {liquid} in it.",
            "~{A} has poured [x] {unit} of {liquid} into a (tank|barrel) that holds [t] {unit}.",
        ),
        (ask("t - x", "how many more {unit} (fit in|are needed to fill it|can be added)?"),),
        where="t > x",
    ),
    schema(
        "measure/glasses",
        "k few, q some, t =k * q",
        "unit volume, liquid liquid",
        (
            "{A} pours [t] {unit} of {liquid} <equally> into [k] (glasses|jars|cans|pots).",
            "~[k] (glasses|jars|cans) share [t] {unit} of {liquid} <equally>.",
        ),
        (ask("t / k", "how many {unit} are in each?", "how much is in each?"),),
    ),
)
