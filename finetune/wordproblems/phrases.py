"""List the phrases that many schemas share, and idle sentences whose number answers nothing.

`<total>` in a template stands for the phrase `total`.
"""

from collections.abc import Mapping

PHRASES: Mapping[str, str] = {
    "total": "(in all|altogether|in total|all together|total|in total|altogether)",
    "now": "(now|now|in all now|at the moment|then|after that|)",
    "left": "(left|left|left|remaining|now|left over|still left)",
    "equally": "(equally|evenly|equally|fairly)",
    "same": "(the same number of|an equal number of|the same amount of)",
    "also": "(also|)",
    "has": "(has|has|had|owns|collected|keeps)",
    "start": "(has|had|has|had|started with|began with|owned|collected)",
    "finish": "(in the end|at the end|afterwards|finally|now)",
}

IDLE_WORDS: Mapping[str, str] = {
    "ithing": "thing", "ipet": "pet", "iplace": "place", "imonth": "month", "ishop": "shop", "ispot": "spot",
}  # fmt: skip

# Every idle sentence is about {A} or about the scene, so that a pronoun after it still means {A}.
IDLE = (
    "{A} is [idle] years old.",
    "{A} also (has|bought|found|saw) [idle] {ithings}.",
    "{A} has [idle] {ipets} at home.",
    "{A} lives [idle] (blocks|miles|minutes) away from the {iplace}.",
    "{A} walked [idle] minutes to the {ishop}.",
    "{A} went to the {iplace} with [idle] friends.",
    "{A} has [idle] cousins.",
    "{A} has been to the {iplace} [idle] times this year.",
    "it was day [#idle] of {imonth}.",
    "it took {A} [idle] minutes to get there.",
    "the {iplace} is [idle] years old.",
    "there were [idle] people at the {iplace}.",
    "there are [idle] {ithings} in the {ispot}.",
    "the {ishop} opened [idle] years ago.",
    "{A} spent [idle] minutes (reading|cleaning|waiting|playing|drawing|cooking).",
    "{A} (keeps|put|left) [idle] {ithings} in {a ispot}.",
    "{A} lives at number [#idle] on the same street.",
    "last year {A} had [idle] {ithings}.",
    "{A's} best friend has [idle] {ithings}.",
    "{a ishop} nearby sells [idle] kinds of {ithings}.",
    "{A} woke up [idle] minutes (early|late).",
    "{A} saw [idle] {ithings} on the way.",
    "{A} lost [idle] {ithings} in {imonth}.",
    "yesterday {A} drank [idle] glasses of water.",
    "{A} would like to have [idle] {ithings} one day.",
)
