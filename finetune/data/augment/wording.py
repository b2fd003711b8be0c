"""Find other words for the same arithmetic: phrases that mean the same, and other people and things.

The numbers and their order stay, so the program stays too. Only phrases that may be exchanged wherever they stand are
listed, and only things whose exchange changes nothing else (no animals: they have legs).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random

from finetune.wordproblems.gsm8k import Converted, vary
from finetune.wordproblems.words import KINDS, Word, article

_PHRASES: Mapping[str, tuple[str, ...]] = {
    "in total": ("altogether", "in all"),
    "altogether": ("in total", "in all"),
    "in all": ("in total", "altogether"),
    "bought": ("purchased",),
    "purchased": ("bought",),
    "buys": ("purchases",),
    "receives": ("gets",),
    "received": ("got",),
    "kids": ("children",),
    "children": ("kids",),
    "currently": ("at the moment",),
    "each day": ("every day",),
    "every day": ("each day",),
    "each week": ("every week",),
    "every week": ("each week",),
    "each month": ("every month",),
    "every month": ("each month",),
    "each year": ("every year",),
    "every year": ("each year",),
    "each of the": ("every one of the",),
    "how much money": ("what amount of money",),
    "wants to": ("would like to",),
    "is able to": ("can",),
    "starts with": ("begins with",),
    "started with": ("began with",),
    "begins with": ("starts with",),
    "began with": ("started with",),
    "needs to": ("has to",),
    "needed to": ("had to",),
}
# "in all three rooms" is something else.
_PHRASE = re.compile(rf"\b(?:{'|'.join(_PHRASES)})\b(?<!in all(?![?.,]))", re.IGNORECASE)
_THINGS: Mapping[str, str] = {
    "fruit": "apple pear banana mango apricot fig pineapple strawberry coconut papaya blueberry",
    "vegetable": "potato tomato carrot onion pumpkin cucumber cabbage radish turnip eggplant",
    "flower": "tulip sunflower daffodil carnation orchid marigold",
    "school": "pencil crayon notebook eraser marker ruler folder highlighter envelope",
    "sweet": "cookie cupcake muffin brownie lollipop doughnut gumdrop biscuit",
    "toy": "marble sticker balloon doll puzzle kite bead whistle",
}
_SAME_KIND = {
    noun: tuple(word for word in KINDS[kind] if word.one in nouns.split())
    for kind, nouns in _THINGS.items()
    for noun in nouns.split()
}


def in_other_words(question: str, rng: Random) -> Iterator[str]:
    """Yield the question with some of its phrases exchanged, without end; nothing where it has none of them."""
    found = list(_PHRASE.finditer(question))
    while found:
        kept = sorted(rng.sample(range(len(found)), rng.randint(1, len(found))))
        parts, end = [], 0
        for match in (found[place] for place in kept):
            parts += [question[end : match.start()], _other_phrase(match.group(), rng)]
            end = match.end()
        yield "".join(parts) + question[end:]


def _other_phrase(phrase: str, rng: Random) -> str:
    fresh = rng.choice(_PHRASES[phrase.lower()])
    return fresh[0].upper() + fresh[1:] if phrase[0].isupper() else fresh


def other_people_and_things(reading: Converted, rng: Random) -> Iterator[str]:
    """Yield the question about others, without end; the same text where nothing can be exchanged."""
    unvaried = replace(reading, varies=False)  # numbers stay, names change
    while True:
        yield _other_things(vary(unvaried, rng).question, rng)


def _other_things(text: str, rng: Random) -> str:
    """Exchange every listed thing of the text for one of its kind that the text doesn't have."""
    present = [noun for noun, kind in _SAME_KIND.items() if re.search(rf"\b{_word(noun, kind).many}\b", text)]
    for noun in present:
        kind = _SAME_KIND[noun]
        fresh = [word for word in kind if not re.search(rf"\b{word.one[:-1]}", text, re.IGNORECASE)]
        text = _swapped(text, _word(noun, kind), rng.choice(fresh)) if fresh else text
    return text


def _word(noun: str, kind: tuple[Word, ...]) -> Word:
    return next(word for word in kind if word.one == noun)


def _swapped(text: str, now: Word, fresh: Word) -> str:
    text = re.sub(rf"\b([Aa])n? {now.one}\b", rf"\1{article(fresh.one)[1:]} {fresh.one}", text)
    for old, new in ((now.many, fresh.many), (now.one, fresh.one)):
        text = re.sub(rf"\b{old}\b", new, text)
        text = re.sub(rf"\b{old.capitalize()}\b", new.capitalize(), text)
    return text
