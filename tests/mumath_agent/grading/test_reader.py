r"""The quick reader reads what math-verify's grammar reads, and leaves alone what may mean two things."""

import re

import pytest
import sympy

from mumath_agent.grading.equality import same_expressions, same_numbers
from mumath_agent.grading.reader import Unread, read
from mumath_agent.grading.worker import _read

READ = [
    *("12", "0.5", "-3", "x", "2x", "-x^2", "x^{10}", "(x+1)(x-2)", "3-x+y", "xy^2", "2(x+1)", "x/y", "1/2"),
    *(r"\frac{x+1}{2}", r"\frac{1}{x}+\frac{1}{y}", r"x\frac{1}{2}", r"\sqrt{x+1}", r"\sqrt[3]{x}",
      r"2\sqrt{3}", r"\pi r^2"),
    *(r"2\cdot x", r"2\times 3", r"x\cdot-2", r"\ln x", r"\ln(x+1)", r"\sin x\cos x", r"\sin^2 x",
      r"2\sin(2x)", r"e^{x+1}"),
    *("x_1+x_{2}", "a b", "2*x", "2^n", "x^{-1}", r"\frac{-1}{2}", "(a+b)/2", r"e^{\pi}", "X", "-(x-1)", "x(x+1)"),
    *(r"\frac{\frac{1}{2}}{3}", "((x))", r"\cos\pi", "2^{2^{2}}", r"\frac{2\pi}{3}", "x y z", "+5", "-2^2"),
]  # fmt: skip
UNREAD = [
    *("", "x+", "(x", "x)", r"\frac{1}", "2 3", "abc", "sin x", "f(x)", "g(2)", "f^{-1}(x)", r"2\frac{1}{2}", "x^12"),
    *("1/2x", r"\sin xy", r"\sin 2x", r"\sin^{-1} x", r"\log 2", "5!", "50%", "1,2", r"\{1\}",
      "[1,2]", r"x\pm 1", "|x|"),
    *(r"\frac{1}{0}", "0^0", "0^{-1}", "x^{10000}", "2^{9999999}", "9" * 101, "x" + "+1" * 200,
      "x=y=z", "x<y", r"\text{a}"),
    *("__import__('os')", "x.y", "lambda", r"\int x", r"90^{\circ}", "x^", "x^y^z", "{2}{3}",
      r"\sqrt", r"\cdot 2", "="),
]  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_it_reads_what_the_grammar_reads(text: str) -> None:
    ((ours,), (theirs,)) = read(text), _read(text)
    names = {symbol: sympy.Symbol(re.sub(r"[{}]", "", symbol.name)) for symbol in theirs.free_symbols}
    theirs = theirs.subs(names)
    exact = [
        each.xreplace({f: sympy.Rational(str(f)) for f in each.atoms(sympy.Float)}) for each in (ours, theirs)
    ]
    assert (same_expressions if ours.free_symbols else same_numbers)(*exact)


@pytest.mark.parametrize("text", ["x=5", "y=2x+1", "x^2+y^2=25", "2x-3y=6"])
def test_it_reads_an_equation(text: str) -> None:
    (equation,) = read(text)
    left, right = (read(side)[0] for side in text.split("="))
    assert isinstance(equation, sympy.Equality) and (equation.lhs, equation.rhs) == (left, right)


@pytest.mark.parametrize("text", UNREAD)
def test_what_may_mean_something_else_is_left_to_the_grammar(text: str) -> None:
    with pytest.raises(Unread):
        read(text)
