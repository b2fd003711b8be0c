"""Where formulas begin and end in prose, whatever a model writes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mumath_agent.runs.page.formulas import MAX_CHARS, dollar_formulas, formulas


def pieces(prose: str) -> list[tuple[str, str]]:
    found, position = [], 0
    for kind, length in re.findall(r"([a-z])(\d+)", formulas(prose)):
        found.append((kind, prose[position : position + int(length)]))
        position += int(length)
    assert position == len(prose)
    return found


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("So $x^2$ it is.", [("p", "So "), ("i", "$x^2$"), ("p", " it is.")]),
        ("$4 each and $5 more", [("p", "$4 each and $5 more")]),
        ("$4 each, $x$ of them", [("p", "$4 each, "), ("i", "$x$"), ("p", " of them")]),
        (r"costs \$4, $y$", [("p", r"costs \$4, "), ("i", "$y$")]),
        ("$$\n\\sum_k k\n$$", [("d", "$$\n\\sum_k k\n$$")]),
        (r"\(a\) and \[b\]", [("i", r"\(a\)"), ("p", " and "), ("d", r"\[b\]")]),
        (r"\begin{align*}a&=b\end{align*}", [("d", r"\begin{align*}a&=b\end{align*}")]),
        (r"\begin{align}a\end{aligned}", [("p", r"\begin{align}a\end{aligned}")]),
        (r"is \boxed{\frac{1}{2}}.", [("p", "is "), ("i", r"\boxed{\frac{1}{2}}"), ("p", ".")]),
        (r"is $\boxed{5}$", [("p", "is "), ("i", r"$\boxed{5}$")]),
        (r"\boxed{unclosed", [("p", r"\boxed{unclosed")]),
        ("a **bold** word, 2 ** 3 ** 4", [("p", "a "), ("s", "**bold**"), ("p", " word, 2 ** 3 ** 4")]),
        ("call `f(x)` or ``", [("p", "call "), ("t", "`f(x)`"), ("p", " or ``")]),
        ("### Step 1\nadd", [("h", "### Step 1"), ("p", "\nadd")]),
        ("# 1 of `#`", [("h", "# 1 of `#`")]),
        ("an open $x", [("p", "an open $x")]),
        ("$" + "x" * (MAX_CHARS + 1) + "$", [("p", "$" + "x" * (MAX_CHARS + 1) + "$")]),
        ("", []),
    ],
)
def test_prose_is_cut_into_formulas_and_words(prose: str, expected: list[tuple[str, str]]) -> None:
    assert pieces(prose) == expected


@given(
    st.text()
    | st.text(r"$\()[]{}*`# b4.xa" + "\n")
    | st.lists(st.sampled_from([r"\boxed{", "$$", r"\(", "}", " "])).map("".join)
)
def test_nothing_is_lost(prose: str) -> None:
    pieces(prose)
    position = 0
    for start, end in dollar_formulas(prose):
        assert position <= start < end <= len(prose)
        position = end


@pytest.mark.parametrize("unit", [r"\(", r"\boxed{", "$a ", "**", "`", r"\begin{a}", "$$ x", "$" * 3, "{"])
def test_it_takes_no_more_than_linear_time(unit: str) -> None:
    """Quadratic work on this much text would take minutes, which a limit of the test run would end."""
    pieces(unit * 40_000)
