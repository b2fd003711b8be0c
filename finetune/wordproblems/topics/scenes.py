"""Scenes with several numbers and several questions, told by different voices.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "scenes/i_had",
        "x any, y any",
        "item small",
        (
            "I (have|had) [x item] (in my bag|in my room|in a box|at home|). ~my (friend|sister|brother|teacher|aunt) gave me [y] more.",
            "I (bought|found|picked) [x item] (yesterday|this morning|last week). ~(today|later) I got [y more item].",
            "my (mom|dad|grandma|uncle) gave me [x item] for my birthday. ~I already had [y].",
        ),
        (ask("x + y", "how many {items} do I have <now>?", "how many {items} do I have <total>?"),),
    ),
    schema(
        "scenes/i_lost",
        "x any, y any",
        "item small",
        (
            "I had [x item]. ~I (gave|sold) [y] of them to (a friend|my brother|my sister).",
            "I (baked|bought|picked) [x item] and (ate|lost|gave away) [y] of them.",
            "my (brother|sister|friend) took [y] of my [x item].",
        ),
        (
            ask(
                "x - y",
                "how many {items} do I have left?",
                "how many {items} are left?",
                "how many of my {items} are left?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "scenes/you_have",
        "x some, y some, k few",
        "item thing, box container",
        (
            "you have [k] {boxs} with [x item] in each.",
            "suppose you have [k box]. ~each {box} has [x item] in it.",
            "imagine that you put [x item] in each of [k] {boxs}.",
        ),
        (
            ask("k * x", "how many {items} do you have <total>?", "how many {items} do you have?"),
            ask("k * x + y", "how many {items} do you have if you get [y] more?"),
        ),
    ),
    schema(
        "scenes/we_made",
        "x any, y any, z any",
        "v make, item goods",
        (
            "our class {vs} [x item] (on Monday|last week|in the morning). ~we {vs} [y] more (on Tuesday|this week|in the afternoon).",
            "we {vs} [x item] for the school fair. ~another class {vs} [y].",
            "our team {vs} [x item]. ~the other team {vs} [y item].",
        ),
        (
            ask(
                "x + y",
                "how many {items} (is that|are there) <total>?",
                "how many {items} were there <total>?",
            ),
            ask("x - y", "what is the difference?", "how many more was the first number than the second?"),
        ),
        where="x > y",
    ),
    schema(
        "scenes/they_share",
        "x any, y any, k few, q some, t =k * q",
        "item food, who child",
        (
            "{A} and {his} friends have [t item]. ~there are [k] of them, and they share <equally>.",
            "[k] {whos} (found|bought|won) [t item]. ~they want to share them <equally>.",
            "~a group of [k] {whos} shares [t item] <equally>.",
        ),
        (
            ask(
                "t / k",
                "how many {items} does each of them get?",
                "how many {items} are there for each {who}?",
                "how many does each get?",
            ),
        ),
    ),
    schema(
        "scenes/class_trip",
        "x 10-60, y 10-60, t few, b few",
        "place place, bus vehicle",
        (
            "[x] boys and [y] girls went on a trip to the {place} with [t] teachers.",
            "a class of [x] boys and [y] girls visited the {place}. ~[t] teachers went along.",
            "&[x] boys went to the {place}. &[y] girls went to the {place}. [t] teachers were with them.",
        ),
        (
            ask(
                "x + y + t",
                "how many people (went|were there) <total>?",
                "how many people went to the {place}?",
            ),
            ask(
                "x + y",
                "how many (children|students) (went|were there) <total>?",
                "how many (students|children) went to the {place}?",
            ),
            ask("x - y", "how many more boys than girls were there?", "how many fewer girls went than boys?"),
        ),
        where="x > y",
    ),
    schema(
        "scenes/game_levels",
        "x any, y any, z any",
        "sport sport",
        (
            "{A} (scored|got|won) [x] points in the first round and [y] points in the second round of a game.",
            "in a game, {A} won [x] points and then [y] more. ~{B} won [z] points.",
            "~{A} had [x] points at half time and won [y] more in the second half.",
        ),
        (
            ask(
                "x + y",
                "how many points did {A} (get|score|win) <total>?",
                "how many points does {A} have?",
                "what was {A's} (final score|score at the end)?",
            ),
        ),
    ),
    schema(
        "scenes/points_lost",
        "x any, y any, z any",
        "",
        (
            "{A} (had|scored|won) [x] points in a game and then lost [y].",
            "{A} had [x] points after the first round. ~{he} lost [y] points in the next round.",
        ),
        (
            ask(
                "x - y",
                "how many points does {@A} have now?",
                "what is {A's} score now?",
                "how many points are left?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "scenes/must_before",
        "t any, x any, y any",
        "v make, item goods",
        (
            "{A} has to {v} [t item]. {he} {vs} [x] in the morning and [y] in the afternoon.",
            "{A} {vs} [x item] in the morning and [y] in the afternoon. ~{he} was asked to {v} [t] <total>.",
        ),
        (
            ask(
                "t - x - y",
                "how many (more|) {items} does {@A} still have to {v}?",
                "how many {items} are left to {v}?",
            ),
            ask("x + y", "how many {items} did {@A} {v} that day?", "how many {items} did {@A} {v} <total>?"),
            ask("t - x", "how many {items} were left to {v} after the morning?"),
        ),
        where="t > x + y",
    ),
    schema(
        "scenes/flowers_vases",
        "q few, k few, x some, t =q * k",
        "item flower, one color, two color",
        (
            "{A} picked [t item] and puts [k] of them in each vase.",
            "~{A} puts [t item] into vases with [k] in each.",
        ),
        (ask("t / k", "how many vases (are needed|does {@A} need|does {@A} use|are there)?"),),
    ),
    schema(
        "scenes/floors",
        "k few, x few, y few",
        "",
        (
            "a (hotel|building|school) has [k] floors with [x] rooms on each floor. ~each room has [y] (windows|beds|chairs|lamps).",
            "there are [x] rooms on each of the [k] floors of a (hotel|building). ~there are [y] (beds|windows|doors) in every room.",
        ),
        (
            ask("k * x", "how many rooms are there <total>?"),
            ask("k * x * y", "how many (things of that kind|of those) are there in all the rooms?"),
            ask("x * y", "how many of those are on one floor?"),
        ),
    ),
    schema(
        "scenes/eggs",
        "x few, k few, e few",
        "",
        (
            "{A} has [k] hens. ~each hen lays [x] eggs a (day|week).",
            "~each of {A's} [k] hens laid [x] eggs.",
            "there are [k] hens on the farm, and each one lays [x] eggs (a day|every week).",
        ),
        (
            ask(
                "k * x",
                "how many eggs is that <total>?",
                "how many eggs are there?",
                "how many eggs do the hens lay <total>?",
            ),
            ask(
                "k * x - e",
                "how many eggs are left if [e] of them break?",
                "how many eggs are left after {A} uses [e]?",
            ),
        ),
        where="k * x > e",
    ),
    schema(
        "scenes/trees_fruit",
        "k few, x some, y any",
        "item fruit",
        (
            "{A} has [k] {item} trees. ~{he} picked [x item] from each tree.",
            "there are [k] trees in {A's} garden. ~each tree (gave|has) [x item].",
            "~{A} picked [x item] from each of [k] trees.",
        ),
        (
            ask(
                "k * x",
                "how many {items} did {A} get <total>?",
                "how many {items} are there <total>?",
                "how many {items} is that?",
            ),
            ask(
                "k * x - y",
                "how many {items} are left after {A} sells [y]?",
                "how many {items} are left if [y] are eaten?",
            ),
        ),
        where="k * x > y",
    ),
    schema(
        "scenes/absent",
        "x 10-60, y few",
        "",
        (
            "there are [x] (students|children|pupils) in {A's} class. ~[y] of them (are absent|are sick|stayed at home) today.",
            "~[y] of the [x] (students|children) in a class are absent.",
        ),
        (
            ask(
                "x - y",
                "how many are (present|at school|in class)?",
                "how many (students|children) are in class today?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "scenes/tables_chairs",
        "k few, x few, y some",
        "surf surface",
        (
            "there are [k] tables in the (room|cafeteria|restaurant). ~each table has [x] chairs.",
            "~{A} puts [x] chairs at each of [k] tables.",
        ),
        (
            ask(
                "k * x", "how many chairs are there <total>?", "how many people can sit (down|at the tables)?"
            ),
            ask("k * x - y", "how many chairs are empty when [y] people sit down?"),
        ),
        where="k * x > y",
    ),
    schema(
        "scenes/mixed_bouquet",
        "x some, y some, k few, q some, z =k * q - x - y",
        "one flower, two flower, three flower",
        (
            "{A} has [x one], [y two] and [z three]. ~{he} makes [k] equal bouquets.",
            "~{A} makes [k] equal bouquets from [x one], [y two] and [z three].",
        ),
        (
            ask("(x + y + z) / k", "how many flowers are in each bouquet?"),
            ask("x + y + z", "how many flowers are there <total>?"),
        ),
        where="z > 1",
    ),
)
