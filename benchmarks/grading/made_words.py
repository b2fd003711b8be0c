"""Patterns of answers in words: names, choices, counted things, numbers in words, and answers in a sentence."""

from random import Random

from benchmarks.grading.made import Drawn, drawn

_TEXTS = (
    "Tuesday",
    "triangle",
    "Evelyn",
    "ASA",
    "HTHH",
    "two",
    "increasing",
    "Room 12",
    "Team 1.5",
    "a gain of 20",
)


def words(random: Random) -> Drawn:
    """Draw words."""
    word = random.choice(_TEXTS)
    pairs = [(i, word[i : i + 2]) for i in range(len(word) - 1)]
    at, two = random.choice(
        [(i, two) for i, two in pairs if two.isalnum() and two[0].lower() != two[1].lower()]
    )
    return drawn(
        "<word>",
        r"\text{<word>} | <word>. | <upper> | **<word>** | \textbf{<word>} | $\text{<word>}$",
        "<swapped> | <word>s | not <word> | <cut> | <word> or Monday | <word> and <word>s",
        **{
            "word": word,
            "upper": word.upper(),
            "cut": word[:-1],
            "swapped": word[:at] + two[::-1] + word[at + 2 :],
        },
    )


def choices(random: Random) -> Drawn:
    """Draw choices."""
    letter, wrong = random.sample("ABCDE", 2)
    return drawn(
        r"\text{(<a>)}",
        r"<a> | (<a>) | <a>. | option <a> | Choice <a> | <a>) 12 | \textbf{(<a>)} | (<a>) none of these"
        r" | Option <a> is correct",
        "<b> | (<b>) | <a>) or <b>) | option <a> or option <b> | <a> or <b> | Choice <a> is wrong"
        " | (<a>) none of these, or (<b>)"
        " | Option <b> | <a>, <b> | neither <a> nor <b> | (<a>) or (<b>)",
        a=letter,
        b=wrong,
    )


_THINGS = (
    ("boys", "girls"),
    ("red balls", "blue balls"),
    ("wins", "losses"),
    ("km north", "km south"),
    ("May", "June"),
)


def counted_things(random: Random) -> Drawn:
    """Draw numbers with words beside them that say what they count."""
    n, (thing, other) = random.randint(3, 99), random.choice(_THINGS)
    return drawn(
        r"<n>\text{ <thing>}",
        r"<n> <thing> | <n>\,\text{<thing>} | $<n>$ <thing> | <n>"
        r" | \mathbf{<n>}\text{ <thing>} | the answer is <n> <thing>",
        r"<n> <other> | <n>\text{ <other>} | <more> <thing> | -<n> <thing> | <n> squared | <n> fifths | <n>0 <thing>"
        " | <n> or <more> <thing>",
        n=n,
        more=n + 1,
        thing=thing,
        other=other,
    )


_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def numbers_in_words(random: Random) -> Drawn:
    """Draw numbers in words."""
    (tens, ten), (ones, one) = random.choice([*enumerate(_TENS, 2)]), random.choice([*enumerate(_ONES, 1)])
    return drawn(
        "<n>",
        r"<ten>-<one> | <ten> <one> | \text{<ten>-<one>} | <ten>-<one> ways | **<ten>-<one>**"
        " | The answer is <ten>-<one>.",
        "<ten> | <one> | minus <ten>-<one> | <ten>-<one> hundred | <ten>-<one> fifths | <ten> or <one>"
        " | <ten>-<one> squared | not <ten>-<one>",
        n=10 * tens + ones,
        ten=ten,
        one=one,
    )


def sentences(random: Random) -> Drawn:
    """Draw answers that stand in a sentence."""
    n = random.randint(2, 99)
    gold, other = random.choice(
        ((str(n), str(n + 1)), (rf"\frac{{{n}}}{{101}}", rf"\frac{{{n}}}{{103}}"), ("B", "D"))
    )
    return drawn(
        "<gold>",
        "The answer is <gold>. | Answer: <gold> | So the final answer is $<gold>$. | **Answer:** <gold>"
        r" | <gold> is the answer. | The correct answer is \boxed{<gold>}",
        "The answer is <other>. | The answer is not <gold>. | The answer is <gold> or <other> | <gold> is wrong"
        " | Answer: <other> | <other> is the answer. | either <gold> or <other> | <gold> is not the answer",
        gold=gold,
        other=other,
    )
