"""Stocks of shops, libraries, towns and collections with several questions each.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "scenes/shop_day",
        "x any, y any, p few",
        "item goods, other goods, shop shop",
        (
            "a {shop} sold [x item] and [y other] (yesterday|today|last week). ~each {item} costs [$p].",
            "the {shop} sells {items} for [$p] each. yesterday it sold [x item] and [y other].",
        ),
        (
            ask(
                "x * p",
                "how much money did the {shop} get for the {items}?",
                "how much were the {items} worth <total>?",
            ),
            ask(
                "x - y",
                "how many more {items} than {others} did the {shop} sell?",
                "how many fewer {others} than {items} were sold?",
            ),
            ask("x + y", "how many {items} and {others} did the {shop} sell <total>?"),
        ),
        where="x > y",
    ),
    schema(
        "scenes/shop_two_days",
        "x any, y any, z any",
        "item goods, shop shop",
        (
            "a {shop} sold [x item] on (Monday|Friday|the first day) and [y] on (Tuesday|Saturday|the second day). ~it had [z item] (at the start|to begin with|in stock).",
            "a {shop} had [z item]. [x] were sold in the morning and [y] in the afternoon.",
            "the {shop} had [z item] in stock. ~it sold [x] of them last week and [y] this week.",
        ),
        (
            ask(
                "x + y",
                "how many {items} (were sold|did the {shop} sell) <total>?",
                "how many {items} were sold?",
            ),
            ask(
                "z - x - y",
                "how many {items} (are|were) left?",
                "how many {items} were not sold?",
                "how many {items} does the {shop} still have?",
            ),
            ask("x - y", "how many more {items} were sold the first time than the second?"),
            ask("z - x", "how many {items} were left after the first sale?"),
        ),
        where="x > y, z > x + y",
    ),
    schema(
        "scenes/library",
        "x any, y any, z any",
        "day weekday",
        (
            "the library had [x] books. on {day}, [y] books were (borrowed|checked out|lent) and [z] were (returned|brought back).",
            "there were [x] books in a library. ~people took out [y] books and brought back [z].",
            "a library has [x] books. ~it lends [y] of them and gets [z] new ones.",
        ),
        (
            ask(
                "x - y + z",
                "how many books are in the library now?",
                "how many books does the library have now?",
            ),
            ask("x - y", "how many books were there before any came back?"),
            ask("y - z", "how many more books went out than came in?"),
        ),
        where="x > y, y > z",
    ),
    schema(
        "scenes/parking",
        "x any, y any, z any",
        "car vehicle",
        (
            "there were [x car] in a parking lot. [y] (left|drove away) and [z] (came|arrived).",
            "a parking lot (had|held) [x car]. ~in the morning [z] more came, and at noon [y] left.",
        ),
        (
            ask("x - y + z", "how many {cars} are there now?", "how many {cars} are in the parking lot now?"),
            ask("x - y", "how many of the first {cars} could still be there at least?"),
        ),
        where="x > y",
    ),
    schema(
        "scenes/two_kinds_of_place",
        "x any, y any, z any, w any",
        "item animal, other animal",
        (
            "there are [x item] and [y other] in the first (field|pond|barn) and [z item] and [w other] in the second.",
            "{A} saw [x item] and [y other] on Monday. ~on Tuesday {he} saw [z item] and [w other].",
        ),
        (
            ask("x + z", "how many {items} are there <total>?", "how many {items} is that <total>?"),
            ask("y + w", "how many {others} are there <total>?", "how many {others} is that <total>?"),
            ask(
                "x - z",
                "how many more {items} were there the first time than the second?",
                "how many more {items} are in the first group?",
            ),
            ask(
                "x + y",
                "how many animals are in the first group?",
                "how many {items} and {others} is that for the first group?",
            ),
        ),
        where="x > z",
    ),
    schema(
        "scenes/two_people_two_things",
        "x any, y any, z any, w any",
        "item thing, other thing",
        (
            "{A} has [x item] and [y other]. ~{B} has [z item] and [w other].",
            "~{A} bought [x item] and [y other], and {B} bought [z item] and [w other].",
        ),
        (
            ask(
                "x + z",
                "how many {items} do they have <total>?",
                "how many {items} do {A} and {B} have together?",
            ),
            ask(
                "y + w",
                "how many {others} do they have <total>?",
                "how many {others} do {A} and {B} have together?",
            ),
            ask(
                "x - z",
                "how many more {items} does {A} have than {B}?",
                "how many fewer {items} does {B} have than {A}?",
            ),
            ask("w - y", "how many more {others} does {B} have than {A}?"),
            ask("x + y", "how many {items} and {others} does {A} have <total>?"),
        ),
        where="x > z, w > y",
    ),
    schema(
        "scenes/give_to_each_other",
        "x any, y any, g few",
        "item collectible",
        (
            "{A} has [x item] and {B} has [y item]. ~{A} gives [g item] to {B}.",
            "&{A} has [x item]. &{B} has [y item]. ~{A} then gave {B} [g] of {his} {items}.",
        ),
        (
            ask("x - g", "how many {items} does {A} have now?", "how many {items} does {A} have left?"),
            ask("y + g", "how many {items} does {B} have now?", "how many {items} does {B} have then?"),
            ask("x + y", "how many {items} do they have together?"),
        ),
        where="x > g",
    ),
    schema(
        "scenes/of_them_kinds",
        "t any, x any, p few",
        "item goods, one color, two color",
        (
            "{A} has [t item] to sell. [x] are {one} and the rest are {two}. ~every {item} costs [$p].",
            "a store has [t item]. [x] of them are {one} and the others are {two}. ~each one is sold for [$p].",
        ),
        (
            ask("t - x", "how many {two} {items} are there?", "how many {items} are {two}?"),
            ask("t * p", "how much money do all the {items} bring?", "how much are all the {items} worth?"),
            ask("x * p", "how much money do the {one} {items} bring?"),
        ),
        where="t > x",
    ),
    schema(
        "scenes/old_new",
        "x any, y any, z any",
        "item clothes",
        (
            "{A} had [x item]. {he} gave away [y] old ones and bought [z] new ones.",
            "~{A} had [x item], bought [z] new ones and threw [y] old ones away.",
        ),
        (
            ask("x - y + z", "how many {items} does {@A} have now?", "how many {items} are there now?"),
            ask("z - y", "how many more {items} does {@A} have than before?"),
        ),
        where="x > y, z > y",
    ),
    schema(
        "scenes/town_people",
        "x big, y big, z big",
        "town town",
        (
            "a {town} had [x] people. ~in one year [y] (moved away|left) and [z] (moved in|came).",
            "there were [x] people in a {town}. ~[z] new people came and [y] left.",
        ),
        (ask("x - y + z", "how many people (are|live) there now?", "how many people are there at the end?"),),
        where="x > y",
    ),
    schema(
        "scenes/tank",
        "x any, y any, z any",
        "pet wild",
        (
            "an aquarium had [x] fish. ~[y] were moved to another tank and [z] new ones were added.",
            "{A} has an aquarium with [x] fish. {he} gave away [y] and bought [z] more.",
        ),
        (ask("x - y + z", "how many fish are in the aquarium now?", "how many fish are there now?"),),
        where="x > y",
    ),
    schema(
        "scenes/messages",
        "x any, y any, z any",
        "",
        (
            "{A} (got|received) [x] messages in the morning and [y] in the afternoon. ~{he} answered [z] of them.",
            "~{A} received [x] messages on Monday and [y] on Tuesday and deleted [z] of them.",
        ),
        (
            ask("x + y", "how many did {@A} get <total>?", "how many did {@A} get in both together?"),
            ask("x + y - z", "how many (are left|does {@A} have left)?"),
            ask("x - y", "how many more did {@A} get the first time than the second?"),
        ),
        where="x > y, x > z",
    ),
    schema(
        "scenes/cards_bought",
        "x any, y any, z any",
        "item collectible",
        (
            "{A} had [x item]. {B} bought [y] of {A's} {items}.",
            "~{A} has [x item] and {B} buys [y] of them.",
        ),
        (ask("x - y", "how many {items} does {A} have now?", "how many {items} does {A} have left?"),),
        where="x > y",
    ),
    schema(
        "scenes/party",
        "x some, y some, k few",
        "item food, other food",
        (
            "{A} invited [k] friends to a party. {he} (bought|made|got) [x item] and [y other].",
            "for {his} party, {A} bought [x item] and [y other]. ~[k] friends came.",
            "[k] friends are coming to {A's} party. ~{he} has [x item] and [y other].",
        ),
        (
            ask("x + y", "how many {items} and {others} are there <total>?"),
            ask(
                "x - y",
                "how many more {items} than {others} did {@A} get?",
                "how many more {items} are there than {others}?",
            ),
            ask(
                "x - k",
                "how many {items} are left when each friend has taken one?",
                "how many {items} remain if every friend eats one?",
            ),
        ),
        where="x > y, x > k",
    ),
)
