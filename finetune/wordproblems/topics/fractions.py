"""Fractions of a quantity, percentages, discounts and averages.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "fractions/half_gone",
        "q any, x =q * 2, y some",
        "item thing",
        (
            "{A} (has|had|made|bought) [x item]. ~{he} (gave|gives) half of them to {B}.",
            "there (were|are) [x item] in a (box|bag|basket). ~{A} took half of them.",
            "{A} had [x item]. {he} (sold|lost|used|gave away) half of them.",
        ),
        (
            ask(
                "x / 2",
                "how many {items} does {@A} have left?",
                "how many {items} are left?",
                "how many {items} is half of them?",
            ),
            ask("x / 2 + y", "how many {items} are there after [y] more are added to what is left?"),
        ),
    ),
    schema(
        "fractions/half_then",
        "q any, x =q * 2, y any",
        "item thing",
        (
            "{A} had [x item]. {he} gave half of them to {B} and [y] to {C}.",
            "{A} (made|baked|bought) [x item]. {he} sold half of them. ~{he} then gave [y] to {B}.",
        ),
        (
            ask(
                "x / 2 - y",
                "how many {items} (are left|does {@A} have left)?",
                "how many {items} does {@A} have now?",
            ),
        ),
        where="q > y",
    ),
    schema(
        "fractions/named",
        "q any, x =q * 3",
        "item dyed, color color",
        (
            "{A} has [x item]. ~(one third|a third) of them are {color}.",
            "there are [x item] in the (box|room|store). ~a third of them (are {color}|belong to {A}).",
        ),
        (
            ask("x / 3", "how many {items} is that?", "how many {items} is a third?"),
            ask("x - x / 3", "how many are the other {items}?", "how many {items} are not among them?"),
        ),
    ),
    schema(
        "fractions/quarter",
        "q any, x =q * 4",
        "item dyed, color color",
        (
            "{A} has [x item]. ~(one quarter|a quarter|one fourth) of them are {color}.",
            "{A} (ate|sold|used|gave away) a quarter of {his} [x item].",
        ),
        (
            ask("x / 4", "how many {items} is that?", "how many {items} make up the quarter?"),
            ask("x - x / 4", "how many are the other {items}?", "how many {items} are the rest?"),
        ),
    ),
    schema(
        "fractions/of_set",
        "q some, b 3-9, a 2-8, x =q * b",
        "item dyed, color color",
        (
            "{A} has [x item]. ~[#a]/[#b] of them are {color}.",
            "there are [x item] in (a|the) (box|room|shop). ~[#a]/[#b] of the {items} are {color}.",
            "~[#a]/[#b] of {A's} [x item] are {color}.",
        ),
        (
            ask(
                "x * a / b",
                "how many {items} are {color}?",
                "how many {color} {items} (are there|does {@A} have)?",
            ),
            ask("x - x * a / b", "how many {items} are not {color}?", "how many are not {color}?"),
        ),
        where="b > a",
    ),
    schema(
        "fractions/class",
        "q some, x =q * 2, y some",
        "",
        (
            "there are [x] (students|children|pupils) in {A's} class. ~half of them are (boys|girls).",
            "half of the [x] (students|children) in a (class|school) (ride the bus|walk to school|play soccer|wear glasses).",
        ),
        (
            ask(
                "x / 2",
                "how many students is that?",
                "how many children is that?",
                "how many students do the others make?",
            ),
        ),
    ),
    schema(
        "fractions/percent_of",
        "p percent, x 20-900/20",
        "item dyed, color color",
        (
            "{A} has [x item]. ~[#p]% of them are {color}.",
            "there are [x item] in a (box|shop|warehouse). ~[#p]% of (them|the {items}) are {color}.",
            "~[#p] percent of {A's} [x item] are {color}.",
        ),
        (
            ask("x * p / 100", "how many {items} are {color}?", "how many {color} {items} are there?"),
            ask("x - x * p / 100", "how many {items} are not {color}?"),
        ),
    ),
    schema(
        "fractions/percent_people",
        "p percent, x 20-900/20",
        "show show",
        (
            "[x] people (went to|attended) {a show}. ~[#p]% of them were (children|students|women).",
            "a school has [x] students. ~[#p]% of them (walk to school|are in a club|play a sport|have a pet).",
        ),
        (
            ask("x * p / 100", "how many people is that?", "how many is that?"),
            ask("x - x * p / 100", "how many are the others?", "how many people are not among them?"),
        ),
    ),
    schema(
        "fractions/discount",
        "p 5-75/5, x 20-400/20",
        "item treasure",
        (
            "{a item} (costs|is|was) [$x]. ~it is on sale (for|at|with) [#p]% off.",
            "the price of {a item} is [$x]. ~{A} gets a discount of [#p]%.",
            "~{A} has a coupon for [#p]% off {a item} that costs [$x].",
        ),
        (
            ask(
                "x - x * p / 100",
                "how much does {A} (pay|have to pay)?",
                "what is the sale price?",
                "how much does it cost now?",
            ),
            ask("x * p / 100", "how much (money|) does {A} save?", "how much is the discount?"),
        ),
    ),
    schema(
        "fractions/raise",
        "p 5-50/5, x 20-900/20",
        "item treasure",
        (
            "the price of {a item} was [$x]. ~it went up by [#p]%.",
            "{A} earned [$x] a week. ~{his} pay went up [#p]%.",
            "~the [$x] that {A} used to get each week rose by [#p]%.",
        ),
        (
            ask("x + x * p / 100", "how much is it now?", "what is the new amount?"),
            ask("x * p / 100", "by how many dollars did it go up?"),
        ),
    ),
    schema(
        "fractions/discount_amount",
        "d any, x any",
        "item treasure",
        (
            "{a item} usually costs [$x]. ~(today|this week) it is [$d] (cheaper|off|less).",
            "~{A} bought {a item} that was [$x] and got [$d] off.",
            "{A} has a coupon worth [$d]. ~the {item} costs [$x].",
        ),
        (
            ask(
                "x - d",
                "how much does {A} (pay|have to pay)?",
                "what is the price now?",
                "how much does the {item} cost with the discount?",
            ),
        ),
        where="x > d",
    ),
    schema(
        "fractions/average_total",
        "m some, k few, t =m * k",
        "item thing",
        (
            "{A} (made|sold|found|counted) [t item] in [k] (days|weeks|hours).",
            "~in [k] (days|weeks|hours) {A} (made|sold|picked|collected) [t item].",
            "[k] friends have [t item] <total>.",
        ),
        (
            ask(
                "t / k",
                "what is the average (number|) for each?",
                "how many {items} is that on average?",
                "what is the average?",
            ),
        ),
    ),
    schema(
        "fractions/average_three",
        "x some, y some, m some, t =m * 3, z =t - x - y",
        "sport sport, subject subject",
        (
            "{A} scored [x], [y] and [z] points in {his} {sport} games.",
            "{A's} {subject} test scores are [x], [y] and [z].",
            "~{A} ran for [x] minutes on Monday, [y] minutes on Tuesday and [z] minutes on Wednesday.",
        ),
        (
            ask(
                "(x + y + z) / 3",
                "what is the average?",
                "what is the mean of these numbers?",
                "what was {A's} average?",
            ),
            ask("x + y + z", "what is the total?"),
        ),
        where="z > 1",
    ),
    schema(
        "fractions/average_two",
        "x some, m some, y =m * 2 - x",
        "day weekday, day2 weekday",
        (
            "{A} (walked|ran) [x] minutes on {day} and [y] minutes on {day2}.",
            "~{A} read [x] pages on {day} and [y] pages on {day2}.",
            "~the temperature was [x] degrees on {day} and [y] degrees on {day2}.",
        ),
        (
            ask(
                "(x + y) / 2",
                "what is the average?",
                "what was the average for the whole of these days?",
                "what is the average per day?",
            ),
            ask("x + y", "what do the numbers add up to?"),
        ),
        where="y > 1",
    ),
    schema(
        "fractions/recipe",
        "k few, c few",
        "powder powder, item baked",
        (
            "a recipe (needs|calls for|uses) [c] cups of {powder} for one (batch|tray|pan) of {items}. ~{A} makes [k] (batches|trays|pans).",
            "~one batch of {items} needs [c] cups of {powder} and {A} bakes [k] batches.",
            "{A} uses [c] cups of {powder} for each batch of {items}. ~{he} makes [k] batches.",
        ),
        (
            ask(
                "c * k",
                "how many cups of {powder} (are needed|does {@A} need|does {@A} use)?",
                "how much {powder} (is needed|does {@A} need)?",
            ),
        ),
        roles="baker, cook",
    ),
    schema(
        "fractions/recipe_people",
        "k few, q few, m few, c =k * q",
        "powder powder",
        (
            "a recipe for [k] people (needs|uses|calls for) [c] cups of {powder}.",
            "~{A} needs [c] cups of {powder} to cook for [k] people.",
        ),
        (
            ask(
                "c / k * m",
                "how many cups are needed for [m] people?",
                "how much {powder} is needed for [m] people?",
            ),
            ask("c / k", "how many cups of {powder} are there for each person?"),
        ),
    ),
)
