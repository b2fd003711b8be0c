"""Draw numbers in many spellings, and other numbers that look like them; see `fuzz`."""

from fractions import Fraction
from math import pi
from random import Random

from benchmarks.grading.made import Drawn, drawn


def integers(random: Random) -> Drawn:
    """Draw integers."""
    n = random.choice((random.randint(-99, 99), random.randint(1000, 10**7))) or 7
    return drawn(
        "<n>",
        r"<commas> | <n>.0 | <n>.00 | $<n>$ | \boxed{<n>} | **<n>** | \text{<n>} | x=<n> | <braced>"
        r" | <thin> | <triple>/3",
        r"<more> | <less> | <minus> | <n>0 | <n>.04 | <n>.5 | <n>/7 | <n>.0004 | <n> or <more> | 1<n>",
        **{
            "n": n,
            "commas": f"{n:,}",
            "braced": f"{n:,}".replace(",", "{,}"),
            "thin": f"{n:,}".replace(",", r"\,"),
        },
        **{"triple": 3 * n, "more": n + 1, "less": n - 1, "minus": -n},
    )


def decimals(random: Random) -> Drawn:
    """Draw decimals."""
    places, digits = random.randint(3, 5), random.randint(1000, 9999) * 10 + random.randint(1, 9)
    wrong = digits + 10 ** random.randint(1, 2) * random.choice((-1, 1))
    exact, text = Fraction(digits, 10**places), _decimal(digits, places)
    return drawn(
        "<n>",
        r"<n>0 | <n>000 | \frac{<a>}{<b>} | x = <n> | +<n> | $<n>$",
        "<wrong> | -<n> | <tenfold> | <tenth> | <wrong>0 | <n>, <wrong>",
        **{"n": text, "a": exact.numerator, "b": exact.denominator, "wrong": _decimal(wrong, places)},
        **{"tenfold": _decimal(digits, places - 1), "tenth": _decimal(digits, places + 1)},
    )


def _decimal(digits: int, places: int) -> str:
    shown = str(digits).rjust(places + 1, "0")
    return f"{shown[:-places]}.{shown[-places:]}"


def fractions(random: Random) -> Drawn:
    """Draw fractions."""
    b = random.randint(3, 40)
    value = random.randint(1, 9) + Fraction(1, b)
    a, k, whole = value.numerator, random.randint(2, 9), int(value)
    return drawn(
        r"\frac{<a>}{<b>}",
        r"<a>/<b> | \dfrac{<a>}{<b>} | \frac{<ka>}{<kb>} | Fraction(<a>, <b>) | \tfrac{<a>}{<b>}"
        r" | <rounded> | <whole>\frac{1}{<b>}"
        r" | \left(\frac{<a>}{<b>}\right) | <whole> 1/<b> | <whole>+\frac{1}{<b>}",
        r"<a2>/<b> | \frac{<a>}{<b2>} | -\frac{<a>}{<b>} | \frac{<b>}{<a>} | <wrong>"
        r" | <whole>\frac{2}{<b>} | <a><b> | \frac{<whole>}{<b>}",
        **{"a": a, "b": b, "ka": k * a, "kb": k * b, "whole": whole, "rounded": f"{a / b:.7f}"},
        **{"a2": a + 1, "b2": b + 1, "wrong": f"{a / b + 0.01:.4f}"},
    )


def percentages(random: Random) -> Drawn:
    """Draw percentages."""
    return drawn(
        r"<p>\%",
        r"<p>% | <p> percent | <p> | <p>.0\% | <p>\text{ percent} | \frac{<p>}{100} | $<p>\%$",
        r"<more>% | 0.<p>\% | <p>00 | -<p>\% | <p>.5% | 0.0<p> | 1<p>%",
        **{"p": (p := random.randint(11, 98)), "more": p + 1},
    )


def surds(random: Random) -> Drawn:
    """Draw surds."""
    a, b, c = random.randint(2, 9), random.choice((2, 3, 5, 6, 7, 10, 11, 13)), random.randint(10, 20)
    return drawn(
        r"<c>+<a>\sqrt{<b>}",
        r"<a>\sqrt{<b>}+<c> | <c> + <a>*sqrt(<b>) | <c>+\sqrt{<aab>} | <c>+<a>√<b>"
        r" | <c>+\frac{<ab>}{\sqrt{<b>}} | <digits>",
        r"<c>-<a>\sqrt{<b>} | <c>+<a2>\sqrt{<b>} | <a>+<c>\sqrt{<b>} | <c>+\sqrt{<ab>} | <c><a>\sqrt{<b>}"
        r" | <wrong> | <c>+<a>√<ab>"
        r" | <c>+<a>\sqrt[3]{<b>}",
        **{"a": a, "b": b, "c": c, "aab": a * a * b, "ab": a * b, "a2": a + 1},
        **{"digits": f"{c + a * b**0.5:.8f}", "wrong": f"{c + a * b**0.5 + 0.01:.4f}"},
    )


def multiples_of_pi(random: Random) -> Drawn:
    """Draw multiples of pi."""
    value = random.randint(1, 9) + Fraction(1, random.randint(3, 12))
    a, b = value.numerator, value.denominator
    return drawn(
        r"\frac{<a>\pi}{<b>}",
        r"\frac{<a>}{<b>}\pi | <a>*pi/<b> | <a>π/<b> | \frac{<aa>\pi}{<bb>} | <digits>"
        r" | \pi\cdot\frac{<a>}{<b>}",
        r"\frac{<a2>\pi}{<b>} | \frac{<a>}{<b>} | \frac{<a>\pi^2}{<b>} | -\frac{<a>\pi}{<b>} | <wrong>"
        r" | \frac{<a>}{<b>\pi} | \frac{<b>\pi}{<a>}",
        **{"a": a, "b": b, "aa": 2 * a, "bb": 2 * b, "a2": a + 1},
        **{"digits": f"{a / b * pi:.6f}", "wrong": f"{a / b * pi + 0.01:.4f}"},
    )


def complex_numbers(random: Random) -> Drawn:
    """Draw complex numbers."""
    a, b = random.sample(range(2, 20), 2)
    return drawn(
        "<a>+<b>i",
        r"<b>i+<a> | <a> + <b>*I | (<a>+<b>j) | <a>+\sqrt{-<bb>} | i(<b>-<a>i)",
        r"<a>-<b>i | <b>+<a>i | -<a>+<b>i | <a>+<b>0i | <a><b> | <a>+\sqrt{<bb>} | <a>+<b>",
        **{"a": a, "b": b, "bb": b * b},
    )


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def scientific(random: Random) -> Drawn:
    """Draw scientific."""
    ones, tenths, exponent = random.randint(1, 9), random.randint(1, 9), random.choice((-6, -4, 5, 7, 9, 12))
    value = Fraction(10 * ones + tenths, 10) * Fraction(10) ** exponent
    plain = str(value) if value.denominator == 1 else f"{float(value):.10f}".rstrip("0")
    return drawn(
        r"<m>\times10^{<e>}",
        r"<m>e<e> | <m> \cdot 10^{<e>} | <m>×10<raised> | <plain> | <m>*10**(<e>)",
        r"<m>\times10^{<more>} | <m>e<less> | <m>1e<e> | <m><e> | -<m>e<e> | <m> | <m>×10<wrong>",
        **{
            "m": f"{ones}.{tenths}",
            "e": exponent,
            "plain": plain,
            "more": exponent + 1,
            "less": exponent - 1,
        },
        **{"raised": str(exponent).translate(_RAISED), "wrong": str(exponent + 1).translate(_RAISED)},
    )


def huge_numbers(random: Random) -> Drawn:
    """Draw huge numbers."""
    b, e = random.randint(2, 9), random.randint(40, 120)
    n = b**e
    return drawn(
        "<n>",
        r"<b>^{<e>} | <commas> | <b>**<e> | \sqrt{<b>^{<double>}} | <b>^{<less>}\cdot <b>",
        r"<more> | <b>^{<e>}+1 | <b>^{<e>}\cdot <b> | \sqrt{<b>^{<double>}+1} | <n>.5 | <n>0 | <float>",
        **{"n": n, "b": b, "e": e, "commas": f"{n:,}", "double": 2 * e, "less": e - 1, "more": n + 1},
        float=int(float(n)) + (n == int(float(n))),
    )


def recurring_decimals(random: Random) -> Drawn:
    """Draw recurring decimals."""
    period = random.choice([p for p in range(12, 98) if p % 11])
    value = Fraction(period, 99)
    return drawn(
        r"\frac{<a>}{<b>}",
        r"0.\overline{<p>} | 0.\dot<t>\dot<u> | 0.(<p>) | 0.<p><p><p><p> | 0.\dot{<t>}\dot{<u>}"
        r" | 0.\bar{<p>}",
        r"0.<p> | 0.\overline{<more>} | 0.<t>\overline{<u>} | 0.0(<p>) | 0.0\overline{<p>} | \overline{<p>}",
        **{"a": value.numerator, "b": value.denominator, "p": period, "t": period // 10, "u": period % 10},
        more=period + 1,
    )


def bases(random: Random) -> Drawn:
    """Draw bases."""
    base, word = random.choice(((2, "two"), (3, "three"), (5, "five"), (8, "eight")))
    digits = "1" + "".join(str(random.randrange(base)) for _ in range(4))
    return drawn(
        "<n>0_<b>",
        r"<n>0_{<b>} | <n>0_{\text{<word>}} | <n>0<lowered> | $<n>0_<b>$",
        r"<n>1_<b> | <n>0_<more> | <n>0 | <n>00_<b> | -<n>0_<b> | <n>0_{\text{nine}}",
        **{"n": digits, "b": base, "word": word, "lowered": chr(ord("₀") + base), "more": base + 1},
    )
