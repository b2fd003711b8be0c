"""Draw the words of stories from lists by kind: countable nouns, foods, places, containers, days, colours.

The plural of an uncountable word (`water`) is the word itself.
"""

# ruff: noqa: E501 - word lists read best unbroken

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

_IRREGULAR = {
    "leaf": "leaves", "loaf": "loaves", "knife": "knives", "shelf": "shelves", "scarf": "scarves",
    "goose": "geese", "mouse": "mice", "child": "children", "man": "men", "woman": "women",
    "person": "people", "sheep": "sheep", "fish": "fish", "deer": "deer", "potato": "potatoes",
    "tomato": "tomatoes", "mango": "mangoes", "hero": "heroes", "foot": "feet", "calf": "calves",
    "goldfish": "goldfish", "ox": "oxen", "wolf": "wolves", "shrimp": "shrimp", "fisherman": "fishermen",
    "mosquito": "mosquitoes", "domino": "dominoes",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A noun with its plural, or a verb with its past form and the things that it is done to (`thing`)."""

    one: str
    many: str
    thing: str = ""


def plural(noun: str) -> str:
    """Return the plural of an English countable noun; its last word changes."""
    head, of, rest = noun.partition(" of ")
    if of:
        return plural(head) + of + rest
    head, space, last = noun.rpartition(" ")
    if last in _IRREGULAR:
        return head + space + _IRREGULAR[last]
    if last.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if last.endswith("y") and last[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def article(noun: str) -> str:
    """Return `a` or `an`, as the noun sounds."""
    vowel = noun[0].lower() in "aeiou" and not noun.startswith(("uni", "use", "eu", "one"))
    return "an" if vowel or noun.startswith(("hour", "honest")) else "a"


def _countable(text: str) -> tuple[Word, ...]:
    return tuple(Word(one=noun, many=plural(noun)) for noun in map(str.strip, text.split(",")))


def _fixed(text: str) -> tuple[Word, ...]:
    return tuple(Word(one=word, many=word) for word in map(str.strip, text.split(",")))


_SWEET = """cookie, candy, cupcake, muffin, brownie, chocolate, lollipop, doughnut, candy bar, gumdrop, caramel,
    jelly bean, gummy bear, chocolate bar, mint, biscuit"""
_BAKED = """cookie, cupcake, muffin, brownie, doughnut, biscuit, pie, tart, bagel, pretzel, bun, roll, pancake, waffle,
    scone, croissant, cake, pastry, bread roll"""
_FRUIT = """apple, orange, pear, banana, peach, plum, mango, lemon, lime, kiwi, apricot, fig, melon, pineapple,
    strawberry, cherry, grape, coconut, papaya, blueberry, watermelon, tangerine, grapefruit"""
_VEGETABLE = """potato, tomato, carrot, onion, pumpkin, cucumber, pepper, cabbage, radish, turnip, eggplant, beet, squash"""
_TOY = """marble, sticker, balloon, toy car, doll, ball, block, puzzle, yo-yo, kite, top, baseball card, bead,
    board game, stuffed animal, action figure, teddy bear, video game, domino, toy truck, trading card, robot, comic,
    model airplane, jump rope, whistle, toy soldier, plastic ring, football card, bouncy ball, dinosaur"""
_COLLECT = """stamp, coin, shell, seashell, rock, button, postcard, bottle cap, feather, leaf, acorn, pebble, magnet,
    key chain, badge, photo, poster, ribbon, medal, crystal, pinecone, bracelet, bookmark, gem, keychain"""
_SCHOOL = """pencil, pen, crayon, notebook, eraser, marker, ruler, book, folder, paper clip, colored pencil, glue stick,
    paintbrush, sharpener, sheet of paper, textbook, workbook, binder, index card, highlighter, pin, envelope"""
_HOME = """plate, cup, bowl, spoon, fork, knife, napkin, glass, mug, candle, towel, pillow, blanket, chair, lamp,
    cushion, picture, bottle, jar, basket, bucket, straw, clock, curtain, rug"""
_CLOTHES = """shirt, sock, hat, glove, scarf, dress, jacket, sweater, coat, skirt, belt, tie, cap, T-shirt, uniform,
    mitten, shoe, blouse, vest, necklace, hair clip, bow, earring, ring"""
_FARM = "chicken, cow, pig, goat, horse, sheep, duck, goose, turkey, rabbit, hen, lamb, donkey, llama"
_WILD = """fish, frog, turtle, bird, squirrel, deer, butterfly, bee, ant, spider, crab, penguin, monkey, duck, bunny,
    ladybug, snail, owl, parrot, swan, dolphin, pigeon, beetle, dragonfly, seal, flamingo, goldfish, caterpillar,
    lizard, sparrow, bat, worm, grasshopper, elephant, zebra, kangaroo, wolf"""
_PET = "cat, dog, puppy, kitten, hamster, goldfish, rabbit, parrot, turtle, guinea pig, snake, canary, mouse"
_FLOWER = "rose, tulip, daisy, lily, sunflower, daffodil, carnation, orchid, violet, marigold, poppy, iris"
_TREE = (
    "tree, oak tree, pine tree, apple tree, maple tree, palm tree, cherry tree, bush, plum tree, walnut tree"
)
_SEED = "seed, bulb, seedling, bean, sunflower seed, sapling, tomato plant, pepper plant, cabbage plant"
_DISH = """sandwich, burger, pizza, taco, hot dog, egg, meatball, dumpling, slice of pizza, slice of cake, pancake,
    cracker, nut, walnut, peanut, chip, pretzel, olive, almond, bottle of water, bottle of juice, sausage, noodle cup,
    can of soda, carton of milk, loaf of bread, bag of chips, jar of jam"""


def _verbs(text: str) -> tuple[Word, ...]:
    """Read verbs such as `write/wrote: pages`: the base, the past form unless regular, and what it is done to."""
    return tuple(_verb(part.strip()) for part in text.split(","))


def _verb(text: str) -> Word:
    forms, _, thing = text.partition(":")
    base, _, past = forms.strip().partition("/")
    return Word(
        one=base, many=past or (base + "d" if base.endswith("e") else base + "ed"), thing=thing.strip()
    )


KINDS: Mapping[str, Sequence[Word]] = {
    "sweet": _countable(_SWEET),
    "baked": _countable(_BAKED),
    "fruit": _countable(_FRUIT),
    "vegetable": _countable(_VEGETABLE),
    "produce": _countable(f"{_FRUIT}, {_VEGETABLE}"),
    "toy": _countable(_TOY),
    "collectible": _countable(f"{_COLLECT}, {_TOY}"),
    "school": _countable(_SCHOOL),
    "home": _countable(_HOME),
    "clothes": _countable(_CLOTHES),
    "farm": _countable(_FARM),
    "wild": _countable(_WILD),
    "pet": _countable(_PET),
    "animal": _countable(f"{_FARM}, {_WILD}, {_PET}"),
    "flower": _countable(_FLOWER),
    "tree": _countable(_TREE),
    "seed": _countable(_SEED),
    "plant": _countable(f"{_FLOWER}, {_TREE}, {_SEED}"),
    "food": _countable(f"{_SWEET}, {_BAKED}, {_FRUIT}, {_DISH}"),
    "small": _countable(f"{_SWEET}, {_FRUIT}, {_TOY}, {_COLLECT}, {_SCHOOL}"),
    "thing": _countable(
        f"{_SWEET}, {_BAKED}, {_FRUIT}, {_VEGETABLE}, {_TOY}, {_COLLECT}, {_SCHOOL}, {_HOME}, {_CLOTHES}, {_FLOWER}"
    ),
    "goods": _countable(f"{_TOY}, {_SCHOOL}, {_HOME}, {_CLOTHES}, {_FRUIT}, {_BAKED}"),
    "dyed": _countable(
        f"{_TOY}, {_SCHOOL}, {_HOME}, {_CLOTHES}, {_FLOWER}, button, ribbon, bead, feather, stamp, bird"
    ),
    "get": _verbs(
        "buy/bought, find/found, collect, gather, get/got, receive, win/won, bring/brought, earn, pick up/picked up"
    ),
    "lose": _verbs("""give away/gave away, sell/sold, lose/lost, use, break/broke, drop/dropped, throw away/threw away,
        donate, trade/traded, return, hand out/handed out, lend/lent"""),
    "make": _verbs("""make/made, sell/sold, pack, buy/bought, count, carry/carried, order, deliver, wrap/wrapped, sort,
        ship/shipped, load, unpack, produce"""),
    "bake": _verbs("bake, make/made, sell/sold, buy/bought, decorate, serve, order, pack, prepare"),
    "pick": _verbs("pick, harvest, gather, buy/bought, sell/sold, wash, collect, pack, store, carry/carried"),
    "spot_animal": _verbs("see/saw, count, feed/fed, spot/spotted, watch, photograph, draw/drew"),
    "plant_verb": _verbs("plant, water, buy/bought, sell/sold, trim/trimmed, grow/grew, cut/cut"),
    "occasion": tuple(
        Word(one=first, many=second)
        for first, second in (
            ("in the morning", "in the afternoon"),
            ("yesterday", "today"),
            ("last week", "this week"),
            ("last month", "this month"),
            ("last year", "this year"),
            ("on the first day", "on the second day"),
            ("before lunch", "after lunch"),
            ("on Monday", "on Tuesday"),
            ("on Saturday", "on Sunday"),
            ("on Friday", "on Saturday"),
            ("in May", "in June"),
            ("in the first hour", "in the second hour"),
            ("at the beach", "at the park"),
            ("at home", "at school"),
            ("in spring", "in summer"),
            ("in the first week", "in the second week"),
            ("at the first stop", "at the second stop"),
        )
    ),
    "deed": _verbs("""read/read: pages, write/wrote: pages, write/wrote: letters, solve: problems, solve: puzzles,
        run/ran: laps, swim/swam: laps, walk: miles, run/ran: kilometers, hike: miles, bike: miles, jog/jogged: miles,
        watch: movies, watch: videos, paint: pictures, draw/drew: pictures, score: points, score: goals, earn: points,
        send/sent: messages, sharpen: pencils, answer: questions, deliver: newspapers,
        play: games, learn: words, take/took: photos, make/made: phone calls, collect: cans, read/read: books,
        read/read: chapters, catch/caught: fish, wash: cars, wash: dishes, visit: museums, help: customers, sell/sold: tickets,
        practice: songs, fold: shirts, bake: pies, fix: bikes, drive/drove: miles, knit/knitted: scarves, jump: rope hops,
        plant: trees, sew/sewed: dresses, fill: bottles, lift: boxes, walk: dogs, drink/drank: glasses of water"""),
    "treasure": _countable("""bicycle, bike, guitar, tablet, skateboard, camera, phone, video game, telescope, tent,
        scooter, laptop, keyboard, drum set, pair of skates, drone, microscope, violin, watch, game console, surfboard"""),
    "container": _countable("""box, bag, basket, jar, crate, carton, bin, drawer, packet, tray, bucket, case, pouch,
        container, tin, sack, bowl"""),
    "pack": _countable("pack, box, packet, bag, carton, package, set, bundle"),
    "spot": _countable("""box, basket, drawer, jar, bag, cabinet, cupboard, crate, cart, bowl, bucket, chest, backpack, suitcase,
        tin, case"""),
    "surface": _countable("shelf, table, tray, desk, counter, bench, plate, rack, stand"),
    "child": _countable(
        "child, student, friend, kid, classmate, boy, girl, player, cousin, neighbor, teammate, camper"
    ),
    "group": _countable(
        "student, child, adult, teacher, parent, visitor, boy, girl, guest, player, scout, camper"
    ),
    "worker": _countable(
        "worker, painter, farmer, gardener, baker, machine, tailor, volunteer, cook, robot, carpenter"
    ),
    "vehicle": _countable("bus, van, car, boat, minibus, train car, taxi, truck, wagon, ferry"),
    "seat": _countable("row, bench, table, bleacher, section, aisle"),
    "shop": _fixed("""store, shop, market, bakery, mall, supermarket, toy store, bookstore, fair, garage sale, farm stand,
        grocery store, gift shop, corner store, flea market, pet shop, school store, craft fair"""),
    "place": _fixed("""park, zoo, garden, school, library, museum, farm, beach, playground, theater, stadium, station,
        pool, hall, restaurant, forest, gym, yard, cafeteria, camp, hotel, office, classroom, aquarium"""),
    "town": _fixed("village, town, city, school, club, neighborhood, company, camp, island"),
    "color": _fixed(
        "red, blue, green, yellow, white, black, purple, pink, orange, brown, silver, gold, gray, striped"
    ),
    "weekday": _fixed("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"),
    "month": _fixed(
        """January, February, March, April, May, June, July, August, September, October, November, December"""
    ),
    "liquid": _fixed(
        "water, milk, juice, lemonade, paint, oil, gas, tea, soup, honey, orange juice, apple juice, soda"
    ),
    "powder": _fixed("flour, sugar, rice, oats, cocoa, butter, corn, honey, cheese, milk, coffee, nuts"),
    "cloth": _fixed(
        "ribbon, rope, string, wire, fabric, yarn, tape, cloth, cable, wood, pipe, lace, hose, thread"
    ),
    "material": _fixed(
        "wooden, plastic, metal, glass, paper, small, large, big, old, new, long, short, fresh, round"
    ),
    "money": _fixed("birthday money, pocket money, savings, allowance, lunch money, spending money"),
    "sport": _fixed(
        "basketball, soccer, hockey, football, baseball, volleyball, trivia, bowling, chess, video"
    ),
    "chore": _fixed("""washing cars, mowing lawns, walking dogs, babysitting, delivering newspapers, raking leaves,
        selling lemonade, washing dishes, tutoring, cleaning yards, shoveling snow, watering plants"""),
    "length": _fixed("meters, feet, inches, centimeters, yards, miles, kilometers"),
    "short_length": _fixed("meters, feet, inches, centimeters, yards"),
    "road": _fixed("miles, kilometers"),
    "weight": _fixed("pounds, kilograms, ounces, grams, tons, kg"),
    "volume": _fixed("liters, gallons, cups, pints, ounces, quarts, bottles"),
    "span": _countable("hour, day, week, minute, month, year"),
    "subject": _fixed("math, reading, science, spelling, history, art, music, English, geography, writing"),
    "show": _fixed("concert, play, movie, game, show, circus, match, festival, fair, dance, museum, parade"),
    "transport": _fixed("car, train, bus, truck, cyclist, van, boat, plane, motorcycle, ship"),
}


def draw_words(rng: Random, kinds: Mapping[str, str]) -> dict[str, Word]:
    """Draw a word for every slot; slots never share a word."""
    drawn: dict[str, Word] = {}
    taken: set[str] = set()
    for slot, kind in kinds.items():
        options = KINDS[kind]
        word = options[int(rng.random() * len(options))]
        while word.one in taken:
            word = options[int(rng.random() * len(options))]
        taken.add(word.one)
        drawn[slot] = word
    return drawn
