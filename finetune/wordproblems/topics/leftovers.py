"""Sharing and packing with steps before or after: left-overs, extra groups, sharing after a change.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "leftovers/remainder",
        "q some, k 3-12, e 1-11, x =q * k + e",
        "item small, kid child",
        (
            "{A} has [x item]. ~{he} (shares|divides) them <equally> among [k] {kids} and gives out as many as possible.",
            "~[x item] are shared <equally> by [k] {kids}, who all get as many as possible.",
        ),
        (
            ask("x % k", "how many {items} are left over?", "how many {items} (will be|are) left?"),
            ask("x // k", "how many {items} does each {kid} get?"),
        ),
        where="k > e",
        roles="teacher, coach",
    ),
    schema(
        "leftovers/boxes_remainder",
        "q some, k 3-12, e 1-11, x =q * k + e",
        "item thing, box container",
        (
            "{A} (packs|puts) [x item] in {boxs} of [k]. {he} fills as many {boxs} as {he} can.",
            "{A} has [x item]. ~each full {box} holds [k].",
        ),
        (
            ask("x % k", "how many {items} are left over?", "how many {items} do not fill {a box}?"),
            ask("x // k", "how many full {boxs} are there?", "how many {boxs} can {@A} fill?"),
        ),
        where="k > e",
        roles="baker, farmer, worker",
    ),
    schema(
        "leftovers/given_out",
        "x any, k few, y few",
        "item small, kid child",
        (
            "{A} has [x item]. ~{he} gives [y item] to each of {his} [k] {kids}.",
            "{A} brought [x item] to school. ~[k] {kids} each took [y].",
            "~{A} had [x item] and gave [k] {kids} [y] each.",
        ),
        (
            ask(
                "x - k * y",
                "how many {items} (are|were) left?",
                "how many {items} does {@A} have left?",
                "how many {items} did {@A} keep?",
            ),
            ask("k * y", "how many {items} did the {kids} get <total>?"),
        ),
        where="x > k * y",
    ),
    schema(
        "leftovers/share_after_loss",
        "q some, k few, y any, x =q * k + y",
        "item small, kid child",
        (
            "{A} had [x item]. {he} (ate|kept|lost|sold) [y] of them. ~{he} shared the rest <equally> (among|with) [k] {kids}.",
            "~{A} baked [x item], kept [y] for {himself} and gave the rest <equally> to [k] {kids}.",
            "there were [x item]. [y] of them were (bad|broken|damaged). ~the good ones were shared <equally> by [k] {kids}.",
        ),
        (
            ask(
                "(x - y) / k",
                "how many {items} did each {kid} get?",
                "how many {items} does each {kid} receive?",
            ),
            ask("x - y", "how many {items} were shared?"),
        ),
    ),
    schema(
        "leftovers/share_after_gain",
        "q some, k few, x any, y =q * k - x",
        "item small, kid child",
        (
            "{A} had [x item] and (bought|got|found) [y] more. ~{he} shared them all <equally> (among|with) [k] {kids}.",
            "{A} has [x item]. {B} has [y item]. ~they put them together and share them <equally> among [k] {kids}.",
            "~{A} picked [x item] on Saturday and [y] on Sunday and put them <equally> in [k] baskets.",
        ),
        (
            ask(
                "(x + y) / k",
                "how many {items} (are there for each|does each get)?",
                "how many {items} does each one get?",
            ),
            ask("x + y", "how many {items} are there <total>?"),
        ),
        where="y > 1",
    ),
    schema(
        "leftovers/pack_after_loss",
        "q some, k few, y any, x =q * k + y",
        "item thing, box container",
        (
            "{A} had [x item]. {he} (sold|gave away|lost|threw away) [y]. ~{he} packs the rest in {boxs} of [k].",
            "{A} picked [x item], but [y] of them were (rotten|broken|bad). ~{he} put the others in {boxs} with [k] in each.",
        ),
        (
            ask("(x - y) / k", "how many {boxs} does {@A} (need|fill|use)?", "how many {boxs} are there?"),
            ask("x - y", "how many {items} were packed?"),
        ),
        roles="farmer, baker, shopkeeper",
    ),
    schema(
        "leftovers/pack_after_gain",
        "q some, k few, x any, y =q * k - x",
        "item thing, box container",
        (
            "{A} has [x] (old|red|big) {items} and [y] (new|blue|small) {items}. ~{he} puts [k item] in each {box}.",
            "{A} made [x item] (in the morning|yesterday) and [y] (in the afternoon|today). ~each {box} holds [k].",
            "~{A} and {B} put their [x] and [y] {items} together in {boxs} of [k].",
        ),
        (ask("(x + y) / k", "how many {boxs} are (there|needed|filled)?", "how many {boxs} do they need?"),),
        where="y > 1",
    ),
    schema(
        "leftovers/groups_plus",
        "k few, x some, y any",
        "item thing, box container",
        (
            "{A} has [k box] with [x item] in each. ~{he} also has [y] (loose|single|extra) {items}.",
            "~{A} bought [k box] of [x item] each and found [y more item].",
            "{A} has [y item] already. ~{he} buys [k] {boxs} of {items} with [x] in each.",
        ),
        (
            ask(
                "k * x + y", "how many {items} does {@A} have <total>?", "how many {items} are there <total>?"
            ),
            ask("k * x", "how many {items} are in the {boxs}?"),
        ),
    ),
    schema(
        "leftovers/groups_minus",
        "k few, x some, y any",
        "item thing, box container",
        (
            "{A} (bought|had|made) [k] {boxs} of {items} with [x] in each. ~{he} (gave away|sold|used|ate) [y item].",
            "there were [k box] with [x item] each. ~[y item] were taken out.",
            "~{A} bought [k box] with [x item] in each and [y] of them (broke|were bad|are gone).",
            "{A} gave [y item] away. ~{he} had bought [k] {boxs} of [x item] each.",
        ),
        (
            ask(
                "k * x - y",
                "how many {items} (are|were) left?",
                "how many {items} does {@A} have left?",
                "how many {items} does {@A} have now?",
            ),
            ask("k * x", "how many {items} were there at first?"),
        ),
        where="k * x > y",
    ),
    schema(
        "leftovers/groups_then_share",
        "k few, m few, q few, x =m * q",
        "item small, box pack, kid child",
        (
            "{A} buys [k] {boxs} of {items}. each {box} has [x item]. ~{he} shares them <equally> among [m] {kids}.",
            "~{A} shares [k] {boxs} of [x item] each <equally> with [m] {kids}.",
        ),
        (
            ask("k * x / m", "how many {items} does each {kid} get?"),
            ask("k * x", "how many {items} are there <total>?"),
        ),
        roles="teacher, coach",
    ),
    schema(
        "leftovers/two_groups",
        "k few, x some, m few, y some",
        "item thing, other thing, box container, sack pack",
        (
            "{A} has [k box] of {items} with [x] in each and [m sack] of {others} with [y] in each.",
            "~{A} bought [k] {boxs} of [x item] each and [m] {sacks} of [y other] each.",
        ),
        (
            ask(
                "k * x + m * y",
                "how many {items} and {others} are there <total>?",
                "how many things is that <total>?",
            ),
            ask("k * x", "how many {items} are there?"),
            ask("m * y", "how many {others} are there?"),
            ask("k * x - m * y", "how many more {items} than {others} are there?"),
            ask("k + m", "how many {boxs} and {sacks} are there <total>?"),
        ),
        where="k * x > m * y",
    ),
    schema(
        "leftovers/same_items_two_sizes",
        "k few, x some, m few, y some",
        "item thing, box container",
        (
            "{A} has [k] (small|old) {boxs} with [x item] in each and [m] (big|new) {boxs} with [y item] in each.",
            "~[k] {boxs} hold [x item] each and [m] other {boxs} hold [y item] each.",
        ),
        (
            ask("k * x + m * y", "how many {items} are there <total>?"),
            ask("k + m", "how many {boxs} are there <total>?"),
        ),
    ),
    schema(
        "leftovers/how_many_more_groups",
        "q few, k few, x some, t =k * x, d few",
        "item thing, box container",
        (
            "{A} needs [t item]. ~each {box} has [x item] in it.",
            "~each {box} holds [x item] and {A} wants [t item].",
        ),
        (
            ask("t / x", "how many {boxs} should {@A} get?", "how many {boxs} does {@A} need?"),
            ask("t / x - d", "how many more {boxs} does {@A} need if {he} already has [d]?"),
        ),
        where="k > d",
    ),
    schema(
        "leftovers/pages_photos",
        "q few, k few, e few, x =q * k + e",
        "item collectible",
        (
            "{A} has [x item]. [e] of them are (too big|torn|old). ~{he} puts the rest in an album with [k] on each page.",
            "~{A} puts {his} [x item], apart from [e], in an album that holds [k] on a page.",
        ),
        (ask("(x - e) / k", "how many pages does {@A} (need|use|fill)?", "how many pages are there?"),),
    ),
    schema(
        "leftovers/empty_seats",
        "k few, x some, y any",
        "bus vehicle",
        (
            "[k] {buss} with [x] seats each are waiting. ~[y] people get in.",
            "there are [k] {buss}. each {bus} has [x] seats. ~[y] (students|guests|people) are going.",
        ),
        (
            ask("k * x - y", "how many seats (are|stay) empty?", "how many seats are (not used|free)?"),
            ask("k * x", "how many seats are there <total>?"),
        ),
        where="k * x > y",
    ),
    schema(
        "leftovers/each_gives",
        "k few, y few, x any",
        "item small, kid child",
        (
            "{A} has [x item]. ~[k] {kids} give {him} [y item] each.",
            "~{A} got [y item] from each of [k] {kids} and already had [x].",
        ),
        (
            ask(
                "x + k * y",
                "how many {items} does {@A} have (now|<total>)?",
                "how many {items} are there <total>?",
            ),
            ask("k * y", "how many {items} did {@A} get?"),
        ),
    ),
    schema(
        "leftovers/collected_per_day",
        "k few, y some, z any",
        "item thing",
        (
            "{A} (makes|collects|sells|picks) [y item] (a|each|every) day. ~after [k] days {he} gave away [z] of them.",
            "~{A} collected [y item] a day for [k] days and then lost [z].",
        ),
        (
            ask("k * y - z", "how many {items} does {@A} have left?", "how many {items} are left?"),
            ask("k * y", "how many {items} were there before that?"),
        ),
        where="k * y > z",
    ),
)
