"""Money: saving, earning, spending, sharing costs, coins.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "money/had_before",
        "p any, r any",
        "item goods",
        (
            "{A} spent [$p] on {items}. ~{he} has [$r] left.",
            "~after {A} (paid|spent) [$p] for {a item} {he} had [$r] left.",
            "~{A} bought {a item} for [$p] and still has [$r].",
        ),
        (
            ask(
                "p + r",
                "how much (money|) did {@A} have (before|at first|to start with|in the beginning)?",
                "how many dollars did {@A} have (at first|before that)?",
            ),
        ),
    ),
    schema(
        "money/need_more",
        "t 20-400, x any",
        "item treasure",
        (
            "{A} wants to buy {a item} that costs [$t]. ~{he} (has|has saved|already has) [$x].",
            "{a item} costs [$t]. ~{A} has (only|saved) [$x].",
            "~{A} has [$x] and {a item} costs [$t].",
        ),
        (
            ask(
                "t - x",
                "how much more (money|) does {@A} need?",
                "how many more dollars does {@A} need (to buy it|to buy the {item}|)?",
                "how much (more|) does {@A} still have to save?",
            ),
        ),
        where="t > x",
    ),
    schema(
        "money/save_weekly",
        "p few, k some, x some",
        "item treasure",
        (
            "{A} saves [$p] (each|every|a) week. ~{he} saves for [k] weeks.",
            "~{A} (saves|puts aside|gets an allowance of) [$p] (every|a) week for [k] weeks.",
            "{A} gets [$p] pocket money each week. ~{he} keeps it all for [k] weeks.",
        ),
        (
            ask(
                "p * k",
                "how much (money|) will {@A} save <total>?",
                "how much money will {@A} have?",
                "how much is that <total>?",
            ),
            ask("p * k + x", "how much will {@A} have <total> if {he} already had [$x]?"),
        ),
    ),
    schema(
        "money/save_until",
        "p 2-20, k 2-30, x any, t =p * k, g =t + x",
        "item treasure",
        (
            "{A} wants {a item} that costs [$g]. {he} already has [$x]. ~{he} saves [$p] (each|every|a) week.",
            "{A} has [$x] and saves [$p] a week. ~{he} wants to buy {a item} for [$g].",
        ),
        (
            ask(
                "(g - x) / p",
                "(in|after) how many weeks can {@A} buy it?",
                "how many weeks (does|will) it take?",
                "for how many weeks must {@A} save?",
            ),
            ask("g - x", "how much does {@A} still need?"),
        ),
    ),
    schema(
        "money/save_until_simple",
        "p 2-25, k 2-40, t =p * k",
        "item treasure",
        (
            "{A} wants to buy {a item} for [$t]. ~{he} saves [$p] (each|every|a) (week|month|day).",
            "~{a item} costs [$t] and {A} can save [$p] (a|per|each) week.",
        ),
        (
            ask(
                "t / p",
                "how long will it take (to save enough|)?",
                "how long does {@A} have to save?",
                "how many times does {@A} have to put money aside?",
            ),
        ),
    ),
    schema(
        "money/wage",
        "p 5-40, k 2-12, d few",
        "job chore",
        (
            "{A} earns [$p] (an|per) hour (for|by) {job}. ~{he} (worked|works) [k] hours.",
            "~{A} (worked|works) [k] hours and (earns|gets|makes) [$p] per hour.",
        ),
        (
            ask(
                "p * k",
                "how much (money|) does {@A} (earn|make)?",
                "how much (is that|is {@A} paid) <total>?",
                "how many dollars does {@A} earn?",
            ),
            ask("p * k * d", "how much does {@A} earn in [d] days if each day is like this?"),
        ),
    ),
    schema(
        "money/wage_rate",
        "p 5-40, k few, t =p * k",
        "job chore",
        (
            "{A} earned [$t] for [k] hours of (work|{job}).",
            "~{A} (worked|works) [k] hours and (earned|got|was paid) [$t].",
            "~{A} made [$t] in [k] hours by {job}.",
        ),
        (
            ask(
                "t / k",
                "how much does {@A} (earn|make|get) (an|per) hour?",
                "how much is that (per|for each) hour?",
                "what is {A's} pay per hour?",
            ),
        ),
    ),
    schema(
        "money/sell_earn",
        "x any, y any, p few",
        "item goods",
        (
            "{A} (had|made|baked) [x item] to sell. {he} sold them for [$p] each, but [y item] were not sold.",
            "~{A} had [x item], sold all but [y] of them, and got [$p] for each.",
            "{A} sells {items} for [$p] each. ~{he} had [x] at the start and [y] at the end of the day.",
        ),
        (
            ask(
                "(x - y) * p",
                "how much money did {@A} (earn|make|get)?",
                "how many dollars did {@A} take in?",
            ),
            ask("x - y", "how many {items} were sold?"),
        ),
        where="x > y",
    ),
    schema(
        "money/profit",
        "c any, s any, k few",
        "item goods",
        (
            "{A} (bought|made) {a item} for [$c] and sold it for [$s].",
            "{a item} costs {A} [$c]. ~{he} sells it for [$s].",
        ),
        (
            ask("s - c", "how much (profit|money) did {@A} (make|gain)?", "what was the profit?"),
            ask("(s - c) * k", "what is the profit on [k] such {items}?"),
        ),
        where="s > c",
        roles="trader, shopkeeper",
    ),
    schema(
        "money/earn_spend",
        "x any, y any, z any",
        "job chore, item goods",
        (
            "{A} had [$x]. {he} earned [$y] (by|from) {job}. ~{he} then spent [$z] on {a item}.",
            "{A} earned [$y] by {job}. {he} already had [$x]. ~{he} bought {a item} for [$z].",
            "{A} had [$x] and got [$y] (from {B}|for {his} birthday). ~{he} spent [$z].",
        ),
        (
            ask(
                "x + y - z",
                "how much (money|) does {@A} have (now|left)?",
                "how many dollars does {@A} have now?",
            ),
            ask("x + y", "how much money did {@A} have before spending any?"),
        ),
        where="x + y > z",
    ),
    schema(
        "money/earn_two",
        "x any, y any",
        "job chore, day weekday, day2 weekday",
        (
            "{A} (earned|made|got) [$x] on {day} and [$y] on {day2}.",
            "~{A} earned [$x] by {job} on {day}, and on {day2} {he} earned [$y].",
            "{A} got [$x] from {B}. ~{he} got [$y] (more|) from {C}.",
        ),
        (
            ask(
                "x + y",
                "how much (money|) did {A} (get|make) <total>?",
                "how many dollars did {A} get <total>?",
            ),
            ask(
                "x - y",
                "how much more was the first amount than the second?",
                "how much more did {A} get the first time than the second?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "money/share_bill",
        "q 2-60, k few, t =q * k",
        "kid child",
        (
            "[k] {kids} share a (bill|cost|payment) of [$t] <equally>.",
            "{A} and {his} friends, [k] people <total>, pay [$t] for (dinner|a gift|a boat ride|pizza). ~they split it <equally>.",
            "~a (gift|game|trip|taxi ride) costs [$t] and [k] {kids} share the cost <equally>.",
        ),
        (
            ask(
                "t / k",
                "how much does each (one|person) (pay|have to pay)?",
                "how much (money|) must each (one|person) give?",
                "what is the share of each person?",
            ),
        ),
    ),
    schema(
        "money/fare",
        "a price, c price, k few, m few",
        "show show",
        (
            "a ticket for the {show} costs [$a] for (adults|an adult) and [$c] for (children|a child). ~[k] adults and [m] children (go|come).",
            "adults pay [$a] and children [$c] for the {show}. {A's} family has [k] adults and [m] children.",
        ),
        (
            ask("k * a + m * c", "how much do they pay <total>?", "what is the total cost of the tickets?"),
            ask("k * a", "how much do the adults pay?"),
            ask("m * c", "how much do the children pay?"),
        ),
        fractional=True,
        where="a > c",
    ),
    schema(
        "money/coins",
        "x some, y some",
        "",
        (
            "{A} has [x] (nickels|nickels in {his} pocket) and [y] dimes.",
            "~{A} found [x] nickels and [y] dimes.",
        ),
        (
            ask(
                "x * 5 + y * 10",
                "how many cents (is that|does {@A} have) (<total>|)?",
                "what is the value of the coins in cents?",
            ),
            ask("x + y", "how many coins (is that|are there) <total>?"),
            ask("y * 10", "how many cents are the dimes worth?"),
        ),
    ),
    schema(
        "money/quarters",
        "x some",
        "",
        (
            "{A} has [x] (quarters|quarters in a jar).",
            "~{A} found [x] quarters.",
            "{A} paid with [x] quarters.",
        ),
        (ask("x * 25", "how many cents is that?", "how many cents are they worth?"),),
    ),
    schema(
        "money/spent_unknown",
        "t any, r any",
        "item goods, shop shop",
        (
            "{A} had [$t] before going to the {shop}. ~{he} has [$r] left.",
            "{A} went to the {shop} with [$t] and came home with [$r].",
            "{A} had [$t] and bought some {items}. ~now {he} has [$r].",
        ),
        (
            ask(
                "t - r",
                "how much (money|) did {@A} spend?",
                "how much money was spent?",
                "how many dollars did {@A} spend?",
            ),
        ),
        where="t > r",
    ),
)
