"""Money: prices, bills and change.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "money/each",
        "p price, k some",
        "item goods",
        (
            "each {item} costs [$p]. ~{A} (buys|bought|wants|needs) [k] of them.",
            "{A} (buys|bought) [k item]. ~each {item} (costs|cost) [$p].",
            "{a item} costs [$p]. ~{A} (wants to buy|buys|needs) [k item].",
            "~{A} (bought|sold) [k item] (at|for) [$p] each.",
            "{items} (cost|are|sell for) [$p] each. ~{A} buys [k].",
            "(at the store|at the market), one {item} is [$p]. ~{A} gets [k].",
            "~one {item} costs [p] dollars and {A} buys [k] of them.",
        ),
        (
            ask(
                "p * k",
                "how much (is that|does it cost|is it) <total>?",
                "how much money is that <total>?",
                "how much do the {items} cost <total>?",
                "what is the total (cost|price)?",
                "how much do [k item] cost?",
                "how many dollars is that?",
            ),
        ),
        fractional=True,
    ),
    schema(
        "money/tickets",
        "p price, k some",
        "show show",
        (
            "each ticket (for|to) the {show} costs [$p]. ~{A} buys [k] tickets.",
            "a ticket (for|to) {a show} is [$p]. ~{A} and {his} friends need [k] tickets.",
            "~{A} (bought|buys) [k] tickets (for|to) {a show} at [$p] each.",
            "tickets (for|to) the {show} cost [$p].",
        ),
        (
            ask(
                "p * k",
                "how much do [k] tickets cost?",
                "how much (will|do|would) [k] tickets cost <total>?",
                "what is the price of [k] tickets?",
            ),
        ),
        fractional=True,
        distract=False,
    ),
    schema(
        "money/unit_price",
        "p 2-40, k group, t =p * k",
        "item goods",
        (
            "{A} (bought|buys) [k item] for [$t].",
            "[k item] cost [$t].",
            "~{A} paid [$t] for [k item].",
            "a (pack|box|bag) of [k item] costs [$t].",
            "~{A} (spent|spends) [$t] on [k item] that all (cost the same|have the same price).",
        ),
        (
            ask(
                "t / k",
                "how much (does|did) each {item} cost?",
                "what is the (price|cost) of (one|each|a single) {item}?",
                "how much does one {item} cost?",
                "how much (money|) was each {item}?",
            ),
        ),
    ),
    schema(
        "money/how_many_buy",
        "p 2-40, k group, t =p * k",
        "item goods",
        (
            "{A} has [$t]. ~each {item} costs [$p].",
            "{A} (spent|paid) [$t] on {items}. ~each {item} (cost|was) [$p].",
            "~one {item} costs [$p] and {A} has [$t] to spend.",
            "{items} (cost|are) [$p] each. ~{A} (has|saved) [$t].",
            "{A} wants to spend (all|) {his} [$t] on {items}. ~they cost [$p] each.",
        ),
        (
            ask(
                "t / p",
                "how many {items} can {@A} buy?",
                "how many {items} (is that|can be bought|could be bought)?",
                "how many {items} can {@A} get (for that|with that money|)?",
            ),
        ),
    ),
    schema(
        "money/change_bill",
        "p price, t bill",
        "item treasure, snack goods",
        (
            "{A} (bought|buys) {a snack} for [$p]. ~{he} (paid|pays) with a [$t] bill.",
            "{a snack} costs [$p]. ~{A} pays with a [#t] dollar bill.",
            "~{A} bought {a snack} for [$p] and gave the (cashier|clerk|seller) [$t].",
            "{A} gives the (cashier|shopkeeper) [$t] for {a snack}. ~the {snack} costs [$p].",
            "~{A's} (lunch|snack|meal|order) (costs|cost) [$p] and {he} (paid|pays) with [$t].",
        ),
        (
            ask(
                "t - p",
                "how much change should {@A} get (back|)?",
                "how much change does {@A} get?",
                "how much money does {@A} get back?",
                "what is {his} change?",
            ),
        ),
        where="t > p",
        fractional=True,
    ),
    schema(
        "money/change_many",
        "p price, k few, t bill",
        "item goods",
        (
            "{A} (bought|buys) [k item] (at|for) [$p] each. ~{he} (paid|pays) with a [$t] bill.",
            "each {item} costs [$p]. {A} buys [k] of them. ~{he} gives the cashier [$t].",
            "~{A} had [$t] and bought [k item] for [$p] each.",
            "{items} cost [$p] each. ~{A} has [$t] and buys [k].",
        ),
        (
            ask(
                "t - k * p",
                "how much change does {@A} get (back|)?",
                "how much money does {@A} have left?",
                "how much does {@A} have left?",
            ),
            ask("k * p", "how much do the {items} cost <total>?"),
        ),
        where="t > k * p",
        fractional=True,
    ),
    schema(
        "money/spend",
        "t any, p price, q price",
        "item goods, other goods",
        (
            "{A} (went to the store with|had saved|got) [$t]. {he} bought {a item} for [$p] and {a other} for [$q].",
            "{A} had [t] dollars. {he} spent [$p] on {a item} and [$q] on {a other}.",
        ),
        (
            ask(
                "t - p - q",
                "how much (money|) does {@A} have left?",
                "how much money is left?",
                "how many dollars does {@A} have now?",
            ),
            ask(
                "p + q",
                "how much did {@A} spend <total>?",
                "how much (money|) was spent?",
                "how much did the {item} and the {other} cost together?",
            ),
        ),
        where="t > p + q",
        fractional=True,
    ),
    schema(
        "money/two_items",
        "p price, q price",
        "item goods, other goods",
        (
            "{A} (bought|buys) {a item} for [$p] and {a other} for [$q].",
            "&{a item} costs [$p]. &{a other} costs [$q]. {A} buys both.",
            "~{A} spent [$p] on {a item} and [$q] on {a other}.",
            "~the {item} costs [$p] and the {other} costs [$q].",
        ),
        (
            ask(
                "p + q",
                "how much (money|) did {A} spend <total>?",
                "how much do they cost <total>?",
                "what is the total (cost|price)?",
                "how much is that <total>?",
            ),
            ask(
                "p - q",
                "how much more does the {item} cost than the {other}?",
                "how much cheaper is the {other} than the {item}?",
                "what is the difference in price?",
                "how much more is the {item}?",
            ),
        ),
        where="p > q",
        fractional=True,
    ),
    schema(
        "money/three_items",
        "p price, q price, r price, t bill",
        "item goods, other goods, third goods",
        (
            "{A} (bought|buys) {a item} for [$p], {a other} for [$q] and {a third} for [$r].",
            "&{a item} costs [$p]. &{a other} costs [$q]. &{a third} costs [$r]. {A} buys one of each.",
            "at a yard sale, {A} spent [$p] on {a item}, [$q] on {a other}, and [$r] on {a third}.",
        ),
        (
            ask(
                "p + q + r",
                "how much did {A} spend <total>?",
                "what is the total cost?",
                "how much do they cost <total>?",
            ),
            ask("t - (p + q + r)", "how much change does {A} get from [$t]?"),
            ask("p + q", "how much do the {item} and the {other} cost together?"),
        ),
        where="t > p + q + r",
        fractional=True,
    ),
    schema(
        "money/two_amounts",
        "k few, p price, m few, q price",
        "item goods, other goods",
        (
            "{A} (bought|buys) [k item] at [$p] each and [m other] at [$q] each.",
            "&{items} cost [$p] each. &{others} cost [$q] each. {A} buys [k item] and [m other].",
            "~{A} (buys|ordered|sold) [k item] for [$p] each and [m other] for [$q] each.",
        ),
        (
            ask(
                "k * p + m * q",
                "how much is that <total>?",
                "what is the total (price|cost|amount)?",
                "how much (money|) is that altogether?",
            ),
            ask("k * p - m * q", "how much more do the {items} cost than the {others}?"),
            ask("k * p", "how much do the {items} cost?"),
            ask("k + m", "how many things is that <total>?"),
        ),
        where="k * p > m * q",
        fractional=True,
    ),
    schema(
        "money/amount_plus_one",
        "k few, p price, q price",
        "item goods, other goods",
        (
            "{A} (bought|buys) [k item] at [$p] each and one {other} for [$q].",
            "~{A} bought {a other} for [$q] and [k item] for [$p] each.",
        ),
        (
            ask(
                "k * p + q",
                "how much (money|) did {A} spend <total>?",
                "how much did {A} pay <total>?",
                "how much did everything cost?",
            ),
        ),
        fractional=True,
    ),
    schema(
        "money/spend_one",
        "t any, p price",
        "item goods",
        (
            "{A} (has|had|got|saved) [$t]. ~{he} (spent|spends) [$p] on {a item}.",
            "{A} had [t] dollars (in {his} wallet|in {his} pocket|). ~{he} (bought|paid for) {a item} that cost [$p].",
            "~after {A} (bought|paid for) {a item} for [$p] {he} had less than the [$t] {he} started with.",
            "~{A} gave {B} [$p] of the [$t] {he} had.",
        ),
        (
            ask(
                "t - p",
                "how much (money|) (does {@A} have|is) left?",
                "how much money does {@A} have now?",
                "how much does {@A} still have?",
                "how many dollars does {@A} have left?",
            ),
        ),
        where="t > p",
        fractional=True,
    ),
)
