"""Change problems: something is gained or lost; the result, the change or the start is asked.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""

# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

_HAVE_NOW = (
    "how many {items} does {@A} have <now>?",
    "how many {items} (will|does) {@A} have <total>?",
    "what is the total number of {items} {@A} has now?",
)
_LEFT = (
    "how many {items} does {@A} have <left>?",
    "how many {items} are <left>?",
    "how many {items} did {@A} have left?",
    "how many {items} remain?",
)

SCHEMAS = (
    schema(
        "change/gain",
        "x count, y count",
        "item small",
        (
            "{A} <start> [x item]. ~{B} (gives|gave) {him} [y more item].",
            "{A} <start> [x item]. ~{he} (found|got|received|bought|picked up) [y more item].",
            "{A} had [x item] in {his} (bag|room|pocket|collection|box). ~{B} gave {him} [y] more for {his} birthday.",
            "~{A} already (has|had) [x item]. ~{he} (buys|gets|finds|wins) another [y].",
            "~{A} (bought|collected|found) [x item] on (Monday|Saturday|the first day). ~{he} (bought|got) [y more item] (the next day|on Sunday|later).",
            "{A} had [x item]. then {he} won [y] more in a game.",
            "{B} gave [y item] to {A}. ~{A} already had [x item].",
        ),
        (ask("x + y", *_HAVE_NOW),),
    ),
    schema(
        "change/loss",
        "x any, y any",
        "item small",
        (
            "{A} <start> [x item]. ~{he} (gives|gave) [y item] to {B}.",
            "{A} <start> [x item]. ~{he} (lost|sold|gave away|used|broke|threw away|dropped) [y] of them.",
            "{A} had [x item]. ~{B} (took|borrowed) [y] of them.",
            "there (are|were) [x item] in {A's} (bag|box|basket|drawer|room). ~{he} (gave away|lost|took out|sold) [y item].",
            "{A} collected [x item] (last year|this summer|at camp). [y] of them (got lost|were broken|were stolen).",
            "~{A} (bought|received|made) [x item]. ~{he} (shared|gave) [y] of them (with|to) {his} (friends|class|family).",
            "{A} gave [y item] to {B}. ~{he} had [x item] (at first|to begin with|before that).",
        ),
        (ask("x - y", *_LEFT),),
        where="x > y",
    ),
    schema(
        "change/eat",
        "x any, y any",
        "item food",
        (
            "there (were|are) [x item] (on the table|on the plate|in the kitchen|in the fridge|in the box). ~{A} (ate|eats) [y] of them.",
            "{A} (baked|made|bought|cooked) [x item]. ~{his} (friends|family|guests|children) ate [y] of them.",
            "~{A} had [x item] in {his} lunch box. ~{he} ate [y item] at lunch.",
            "a (plate|bowl|tray) (has|had) [x item] on it. ~{A} and {B} ate [y item] together.",
            "the cafeteria had [x item] (today|in the morning). ~the students ate [y item].",
        ),
        (
            ask(
                "x - y",
                "how many {items} are <left>?",
                "how many {items} were left?",
                "how many {items} (remain|were not eaten)?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "change/container_in",
        "x count, y count",
        "item thing, box spot",
        (
            "there (is|are|was) [x item] in the {box}. ~{A} (puts|placed|adds|put) [y more item] there.",
            "(the {box}|{a box}) (has|had|holds) [x item]. ~{A} (adds|added|puts in) [y] more.",
            "{A} counted [x item] in the {box}. ~{he} later (added|put in) [y more item].",
        ),
        (
            ask(
                "x + y",
                "how many {items} are (there|in the {box}) <now>?",
                "how many {items} are there <total>?",
                "what is the number of {items} in the {box} now?",
            ),
        ),
    ),
    schema(
        "change/container_out",
        "x any, y any",
        "item thing, box spot",
        (
            "there (are|were) [x item] in the {box}. ~{A} (takes|took|removed) [y] of them (out|away|home).",
            "the {box} (held|had|contained|holds) [x item]. ~{A} (took out|removed|takes) [y item].",
            "~{A} took [y item] from the {box}. ~there were [x item] in the {box} (before|at first).",
        ),
        (
            ask(
                "x - y",
                "how many {items} are <left> in the {box}?",
                "how many {items} (remain|are still) in the {box}?",
                "how many {items} are there now?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "change/unknown_gain",
        "x any, t any",
        "item small",
        (
            "{A} (had|has) [x item]. ~{B} gave {him} some more and now {he} has [t item].",
            "{A} had [x item] (yesterday|in the morning|last week). ~(today|now) {he} has [t].",
            "~{A} started with [x item] and ended with [t item].",
            "{A} <start> [x item]. {he} (found|bought|got) some more {items}. ~now {he} has [t item] <total>.",
            "there were [x item] in {A's} bag. {he} put in some more. ~now there are [t item] in the bag.",
        ),
        (
            ask(
                "t - x",
                "how many {items} did {@A} get?",
                "how many (more|new|extra) {items} did {@A} get?",
                "how many {items} were added?",
            ),
        ),
        where="t > x",
    ),
    schema(
        "change/unknown_loss",
        "x any, t any",
        "item small",
        (
            "{A} had [x item]. ~after giving some to {B}, {he} has [t] left.",
            "{A} <start> [x item]. {he} gave some (of them|) to {B}. ~{A} (has|had) [t item] left.",
            "there were [x item] in the box. some were taken out. ~[t item] are left in the box.",
            "{A} had [x item]. {he} lost some of them. ~now {he} has [t item].",
            "~{A} had [x item] in the morning and [t item] in the evening.",
        ),
        (
            ask(
                "x - t",
                "how many {items} (are gone|went away|are missing)?",
                "how many {items} did {@A} (lose|give away|part with)?",
            ),
        ),
        where="x > t",
    ),
    schema(
        "change/unknown_start_gain",
        "y any, t any",
        "item small",
        (
            "{A} had some {items}. {B} gave {him} [y] more. ~now {he} has [t item].",
            "~after (buying|finding|getting|winning) [y item], {A} has [t item].",
            "{A} (bought|found|got) [y item] (today|at the fair|from {B}). ~{he} now has [t item] <total>.",
            "{A} added [y item] to {his} collection. ~now there are [t item] in it.",
        ),
        (
            ask(
                "t - y",
                "how many {items} did {@A} have (at first|in the beginning|to start with|before|to begin with|initially)?",
                "with how many {items} did {@A} start?",
            ),
        ),
        where="t > y",
    ),
    schema(
        "change/unknown_start_loss",
        "y any, t any",
        "item small",
        (
            "{A} had some {items}. {he} gave [y] to {B}. ~now {he} has [t] left.",
            "~{A} (lost|gave away|sold|ate|used) [y item] and has [t item] left.",
            "after {A} (gave|sent|handed) [y item] to {B}, {he} had [t item] left.",
            "{A} took [y item] out of a box. ~there are still [t item] in the box.",
            "some {items} were on the table. ~{A} took [y] of them and [t item] are still there.",
        ),
        (
            ask(
                "y + t",
                "how many {items} (were there|did {@A} have) (at first|in the beginning|to start with|before|initially)?",
                "how many {items} were there (originally|at the start)?",
            ),
        ),
    ),
    schema(
        "change/people",
        "x any, y any, z any",
        "place place, who group",
        (
            "there (are|were) [x who] (at|in) the {place}. [y] more {whos} (came|arrived). ~[z] of them then (left|went home).",
            "[x who] were in the {place}. ~[z] left and [y] others came in.",
            "[x who] (were|are) playing at the {place}. ~[y] more joined them and [z] (had to go|went) home.",
        ),
        (
            ask(
                "x + y - z",
                "how many {whos} are (at|in) the {place} (now|)?",
                "how many {whos} (are|were) (there|left) in the end?",
            ),
        ),
        where="x > z",
    ),
    schema(
        "change/gain_loss",
        "x any, y any, z any",
        "item small",
        (
            "{A} <start> [x item]. {he} (bought|found|got|received) [y] more. ~{he} then gave [z] of them to {B}.",
            "{A} had [x item]. ~{he} (lost|gave away|sold) [z] of them but then (found|bought|got) [y more item].",
            "{A} had [x item]. {B} gave {him} [y item]. ~{A} later lost [z item].",
            "{A} collected [x item] (on Monday|in the morning) and [y item] (on Tuesday|in the afternoon). ~{he} gave away [z] of them.",
        ),
        (
            ask(
                "x + y - z",
                *_LEFT[:1],
                "how many {items} does {@A} have in the end?",
                "how many {items} does {@A} have now?",
            ),
        ),
        where="x + y > z, x > z",
    ),
    schema(
        "change/two_losses",
        "x any, y any, z any",
        "item small",
        (
            "{A} <start> [x item]. {he} gave [y] to {B} and [z] to {C}.",
            "{A} had [x item]. {he} (lost|sold|used) [y] (on Monday|in the morning|at school) and [z] (on Tuesday|in the afternoon|at home).",
            "~{A} (made|bought|picked) [x item]. ~{he} gave {B} [y item] and {C} [z item].",
        ),
        (
            ask("x - y - z", *_LEFT),
            ask("y + z", "how many {items} (are gone|are no longer with {A}) <total>?"),
        ),
        where="x > y + z",
    ),
    schema(
        "change/bus",
        "x some, y few, z few",
        "bus vehicle",
        (
            "{a bus} (had|has) [x] (people|passengers) on it. at the (first|next) stop, [y] (people|passengers) got off and [z] got on.",
            "there were [x] passengers on the {bus}. ~[y] got off and [z] more got on at the (station|stop|school).",
            "[x] people were riding (the {bus}|{a bus}). ~at a stop [z] people got on and [y] got off.",
        ),
        (
            ask(
                "x - y + z",
                "how many (people|passengers) are on the {bus} now?",
                "how many (people|passengers) were on the {bus} (then|after that|afterwards)?",
            ),
            ask("z - y", "how many more (people|passengers) got on than got off?"),
            ask("y - z", "how many more (people|passengers) got off than got on?"),
        ),
        where="x > y",
    ),
    schema(
        "change/shop_stock",
        "x any, y any, z any",
        "item goods, shop shop",
        (
            "({a shop}|the {shop}) had [x item]. they sold [y item] and then (got|received|ordered) [z] more.",
            "there were [x item] (in|at) the {shop}. ~[y] were sold and [z] new ones (arrived|were delivered).",
            "~{a shop} (started the day with|had) [x item]. ~it sold [y item] in the morning and [z item] were delivered in the afternoon.",
        ),
        (
            ask(
                "x - y + z",
                "how many {items} does the {shop} have now?",
                "how many {items} are at the {shop} now?",
            ),
            ask("x - y", "how many {items} were left before the new ones came?"),
        ),
        where="x > y",
    ),
)
