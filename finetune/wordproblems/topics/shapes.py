"""Measures: areas, perimeters, heights, temperatures, rain.

Owns: these sentences.  Does not own: the template language and the drawing of numbers.
"""
# ruff: noqa: E501 - a sentence with its choices reads best unbroken

from __future__ import annotations

from finetune.wordproblems.schema import ask, schema

SCHEMAS = (
    schema(
        "measure/rain",
        "x decimal, y decimal",
        "day weekday, day2 weekday, town town",
        (
            "it rained [x] inches on {day} and [y] inches on {day2} in the {town}.",
            "~[x] inches of (rain|snow) fell on {day} and [y] inches fell on {day2}.",
            "on {day} it (rained|snowed) [x] (inches|centimeters). ~on {day2} it was [y].",
        ),
        (
            ask("x + y", "how much  was that <total>?", "what is the total for both days?"),
            ask("x - y", "how much more was it on {day} than on {day2}?", "how much less was it on {day2}?"),
        ),
        where="x > y",
        fractional=True,
    ),
    schema(
        "measure/temperature",
        "x 10-100, d 2-30, e 2-20",
        "",
        (
            "the temperature was [x] degrees in the morning. ~it (rose|went up) [d] degrees by noon.",
            "~in the morning it was [x] degrees and by noon it was [d] degrees warmer.",
        ),
        (
            ask("x + d", "what was the temperature at noon?", "how warm was it at noon?"),
            ask("x + d - e", "what was the temperature at night if it then fell by [e] degrees?"),
        ),
    ),
    schema(
        "measure/temperature_drop",
        "x 10-100, d 2-40",
        "day weekday",
        (
            "the temperature was [x] degrees (at noon|on {day}|yesterday). ~it (dropped|fell|went down) by [d] degrees (overnight|in the evening|).",
            "~it was [x] degrees at noon and [d] degrees colder at night.",
        ),
        (
            ask(
                "x - d",
                "what (was|is) the temperature then?",
                "what was the temperature after that?",
                "how many degrees was it then?",
            ),
        ),
        where="x > d",
    ),
    schema(
        "measure/temperature_difference",
        "x 10-100, y 5-90",
        "day weekday, day2 weekday",
        (
            "the temperature was [x] degrees on {day} and [y] degrees on {day2}.",
            "it was [x] degrees (inside|at noon). ~it was [y] degrees (outside|at night).",
        ),
        (
            ask(
                "x - y",
                "what is the difference (in temperature|)?",
                "how many degrees warmer was the first (one|reading)?",
                "by how many degrees do they differ?",
            ),
        ),
        where="x > y",
    ),
    schema(
        "measure/area",
        "l some, w some, f few",
        "unit short_length",
        (
            "a (rectangular|) (garden|room|field|yard|floor) is [l] {unit} long and [w] {unit} wide.",
            "{A's} (garden|room|poster|carpet) is a rectangle [l] {unit} long and [w] {unit} wide.",
            "~a rectangle has a length of [l] {unit} and a width of [w] {unit}.",
            "~the (playground|pool|lawn) measures [l] {unit} by [w] {unit}.",
        ),
        (
            ask(
                "l * w",
                "what is its area?",
                "what is the area in square {unit}?",
                "how many square {unit} is that?",
                "how large is the area?",
            ),
            ask(
                "2 * (l + w)",
                "what is its perimeter?",
                "how long is a fence around it?",
                "how many {unit} is it all the way around?",
            ),
        ),
    ),
    schema(
        "measure/square",
        "l some",
        "unit short_length",
        (
            "a square (garden|room|field|tile) has sides of [l] {unit}.",
            "{A} has a square (garden|rug|table|yard). ~each side is [l] {unit} long.",
            "~each side of a square is [l] {unit}.",
        ),
        (
            ask(
                "l * l",
                "what is its area?",
                "what is the area of the square?",
                "how many square {unit} does it cover?",
            ),
            ask(
                "4 * l",
                "what is its perimeter?",
                "what is the perimeter of the square?",
                "how long is the way around it?",
            ),
        ),
    ),
    schema(
        "measure/area_side",
        "l some, w some, a =l * w",
        "unit short_length",
        (
            "a (rectangular|) (garden|room|field) has an area of [a] square {unit}. ~it is [l] {unit} long.",
            "~the area of a rectangle is [a] square {unit} and its length is [l] {unit}.",
        ),
        (ask("a / l", "how wide is it?", "what is its width?", "how many {unit} wide is it?"),),
    ),
    schema(
        "measure/triangle",
        "x some, y some, z some",
        "unit short_length",
        (
            "a triangle has sides of [x] {unit}, [y] {unit} and [z] {unit}.",
            "~the sides of a triangle are [x], [y] and [z] {unit} long.",
        ),
        (ask("x + y + z", "what is its perimeter?", "what is the perimeter of the triangle?"),),
        where="x + y > z, x + z > y, y + z > x",
    ),
    schema(
        "measure/growth",
        "x any, d few, k few",
        "tree tree, unit short_length",
        (
            "{a tree} was [x] {unit} tall. ~it grew [d] {unit} (last year|this summer|since then).",
            "~{A} planted {a tree} that was [x] {unit} tall and it grew [d] {unit}.",
        ),
        (ask("x + d", "how tall is (it|the {tree}) now?", "how many {unit} tall is it now?"),),
    ),
    schema(
        "measure/growth_rate",
        "x any, d few, k few",
        "tree tree, unit short_length",
        (
            "{a tree} is [x] {unit} tall. ~it grows [d] {unit} (a|every|each) year.",
            "~{A's} {tree} grows [d] {unit} per year and is now [x] {unit} tall.",
        ),
        (
            ask("x + d * k", "how tall will it be in [k] years?", "what will its height be after [k] years?"),
            ask("d * k", "how many {unit} does it grow in [k] years?"),
        ),
    ),
    schema(
        "measure/heights",
        "x 80-200, d 2-40",
        "",
        (
            "{A} is [x] (cm|centimeters) tall. ~{B} is [d] (cm|centimeters) (shorter|smaller) than {A}.",
            "{A} is [x] centimeters tall, which is [d] centimeters taller than {B}.",
            "~{A}, who is [x] cm tall, is [d] cm taller than {B}.",
        ),
        (ask("x - d", "how tall is {B}?", "what is the height of {B}?"),),
        where="x > d",
    ),
    schema(
        "measure/grew_by",
        "x any, y any",
        "tree tree, unit short_length",
        (
            "{a tree} was [y] {unit} tall last year. ~now it is [x] {unit} tall.",
            "{A} was [y] inches tall (at the start of the year|two years ago). ~now {he} is [x] inches tall.",
        ),
        (
            ask(
                "x - y",
                "how much (taller is that|did the height change)?",
                "by how much did the height grow?",
            ),
        ),
        where="x > y",
    ),
)
