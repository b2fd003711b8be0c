"""Draw expressions, lists, inequalities, quantities and words in many spellings, with near misses; see `fuzz`."""

from random import Random

from benchmarks.grading.made import Drawn, drawn, signed


def polynomials(random: Random) -> Drawn:
    """Draw polynomials."""
    p, q = random.choice((-7, -5, -3, -2, 1, 2, 4, 6)), random.choice((-9, -8, -4, -1, 3, 5, 7, 8))
    s, t = (p + q) or 3, p * q
    values = {"p": p, "q": q, "q1": q + 1, "s": s, "t": t, "s1": s + 1, "t1": t + 1, "S": s}
    factored = "(x<p>)(x<q>) | (x<q>)(x<p>) | " if s == p + q else ""
    return drawn(
        "x^2<s>x<t>",
        factored + "<t><s>x+x^2 | x**2 <s>*x <t> | x(x<s>)<t> | x²<s>x<t> | -(-x^2-(<s>)x-(<t>))",
        "x^2<s1>x<t> | x^2<s>x<t1> | x^3<s>x<t> | y^2<s>y<t> | x^2<s>x<t>=0 | -(x^2<s>x<t>)"
        " | x^{2<s>}x<t> | x^2<s>x",
        **{name: signed(n) for name, n in values.items()},
    )


def rational_functions(random: Random) -> Drawn:
    """Draw rational functions."""
    a, b, c = random.randint(2, 9), random.randint(1, 9), random.randint(2, 9)
    d = a * b + c
    return drawn(
        r"\frac{<a>x+<d>}{x+<b>}",
        r"<a>+\frac{<c>}{x+<b>} | (<a>*x + <d>)/(x + <b>) | \frac{<d>+<a>x}{<b>+x}"
        r" | \frac{<aa>x+<dd>}{2x+<bb>} | \frac{-<a>x-<d>}{-x-<b>}",
        r"<a>+\frac{<c>}{x+<d>} | <a>-\frac{<c>}{x+<b>} | \frac{<a>x+<d>}{x-<b>} | <a>*x + <d>/(x + <b>)"
        r" | \frac{<a>x+<d>}{<b>}+x | \frac{x+<b>}{<a>x+<d>}",
        **{"a": a, "b": b, "c": c, "d": d, "aa": 2 * a, "dd": 2 * d, "bb": 2 * b},
    )


def logarithms(random: Random) -> Drawn:
    """Draw logarithms."""
    a, b = random.sample(range(2, 8), 2)
    return drawn(
        r"\ln(x^<a>y^<b>)",
        r"<a>\ln x+<b>\ln y | <b>\ln y+<a>\ln x | <a>*log(x) + <b>*log(y) | \ln x^<a>+\ln y^<b>"
        r" | \ln(y^<b>x^<a>)",
        r"<a>\ln x-<b>\ln y | <b>\ln x+<a>\ln y | \ln x^<a>\cdot\ln y^<b> | \ln(x^<a>+y^<b>)"
        r" | <a>\ln x+<b>\ln z | \ln(x^<a>)",
        a=a,
        b=b,
    )


def trigonometric(random: Random) -> Drawn:
    """Draw trigonometric."""
    n = random.randint(2, 9)
    return drawn(
        r"<n>\sin 2x",
        r"<m>\sin x\cos x | <n>*sin(2*x) | <m>\cos x\sin x | \frac{<m>\sin x}{\sec x} | <n>\sin(x+x)",
        r"<m>\sin x | <n>\cos 2x | <n>\sin x | <n>\sin^2 x | \sin <m>x | -<n>\sin 2x | <n>\sin 2y",
        n=n,
        m=2 * n,
    )


_ITEMS = (
    (r"\sqrt{<n>}", "sqrt(<n>)"),
    (r"\frac{1}{<n>}", "Fraction(1, <n>)"),
    (r"\frac{\pi}{<n>}", "pi/<n>"),
)


def _items(random: Random) -> tuple[list[str], list[str]]:
    """Draw three to five different values, in LaTeX and as Python prints them."""
    numbers = [(str(n), str(n)) for n in random.sample(range(-20, 20), random.randint(2, 3))]
    others = [(n, random.choice(_ITEMS)) for n in random.sample((2, 3, 5, 7), random.randint(1, 2))]
    items = numbers + [
        (latex.replace("<n>", str(n)), code.replace("<n>", str(n))) for n, (latex, code) in others
    ]
    random.shuffle(items)
    return [latex for latex, _ in items], [code for _, code in items]


def sets(random: Random) -> Drawn:
    """Draw sets."""
    latex, code = _items(random)
    turn = random.randrange(len(latex))
    turned = latex[turn:] + latex[:turn]
    return drawn(
        r"\{<gold>\}",
        r"\{<turned>\} | <turned> | {<code>} | [<code>] | <most> and <last> | \left\{<turned>\right\}"
        r" | FiniteSet(<code>) | \{<back>\}",
        r"\{<wrong>\} | <missing> | \{<gold>, 41\} | {<codewrong>} | \{<missing>, 41, 42\} | <last>"
        r" | (<gold>)",
        **{
            "gold": ", ".join(latex),
            "turned": ",".join(turned),
            "back": ", ".join(latex[::-1]),
            "last": turned[-1],
        },
        **{"code": ", ".join(code[::-1]), "most": ", ".join(turned[:-1]), "missing": ", ".join(latex[1:])},
        **{"wrong": ", ".join(["41", *latex[1:]]), "codewrong": ", ".join(["41", *code[1:]])},
    )


def tuples(random: Random) -> Drawn:
    """Draw tuples."""
    latex, code = _items(random)
    return drawn(
        "(<gold>)",
        r"\left(<gold>\right) | (<code>) | $(<gold>)$ | \langle <gold>\rangle",
        r"(<turned>) | (<back>) | (<wrong>) | (<missing>) | \{<gold>\} | (<gold>, 41) | <gold> | -(<gold>)",
        **{"gold": ", ".join(latex), "code": ", ".join(code), "turned": ",".join([*latex[1:], latex[0]])},
        **{
            "back": ", ".join(latex[::-1]),
            "wrong": ", ".join(["41", *latex[1:]]),
            "missing": ", ".join(latex[1:]),
        },
    )


def intervals(random: Random) -> Drawn:
    """Draw intervals."""
    a = random.randint(-9, 5)
    b = a + random.randint(1, 9)
    return drawn(
        "[<a>,<b>)",
        r"<a>\le x<<b> | <b>>x\ge <a> | <a> <= x < <b> | Interval.Ropen(<a>, <b>) | \left[<a>,<b>\right)"
        r" | x\in[<a>,<b>)",
        r"(<a>,<b>) | [<a>,<b>] | (<a>,<b>] | <a><x\le <b> | <a>\le x<<more> | [<less>,<b>) | x\ge <a>"
        r" | Interval(<a>, <b>)",
        **{"a": a, "b": b, "more": b + 1, "less": a - 1},
    )


def inequalities(random: Random) -> Drawn:
    """Draw inequalities."""
    a, k = random.randint(-9, 9), random.randint(2, 7)
    return drawn(
        "x><a>",
        r"<a><x | <k>x><ka> | -<k>x<<mka> | x<minus>>0 | (<a>,\infty) | (<a>, oo) | <k>x<plus>>0",
        r"x<<a> | x\ge <a> | <k>x<<ka> | -<k>x><mka> | x><more> | <k>x><kmore> | y><a> | [<a>,\infty)"
        r" | (-\infty,<a>)",
        **{"a": a, "k": k, "ka": k * a, "mka": -k * a, "minus": signed(-a), "plus": signed(-k * a)},
        **{"more": a + 1, "kmore": k * a + 1},
    )


_UNITS = (("cm", "m", 100), ("grams", "kg", 1000), ("minutes", "hours", 60), ("cents", "dollars", 100))


def units(random: Random) -> Drawn:
    """Draw units."""
    n, (small, large, factor) = random.randint(2, 99), random.choice(_UNITS)
    return drawn(
        r"<n>\text{ <large>}",
        r"<n> <large> | <n> | <m> <small> | <n>\,\mathrm{<large>} | <n>.0 <large> | <m>\text{ <small>}",
        "<n> <small> | <m> <large> | <more> <large> | -<n> <large> | <wrong> <small> | <n>.04 <large>",
        **{"n": n, "m": n * factor, "more": n + 1, "wrong": n * factor + 1, "small": small, "large": large},
    )


def ratios(random: Random) -> Drawn:
    """Draw ratios."""
    a, b, c = random.sample(range(2, 12), 3)
    k = random.randint(2, 6)
    return drawn(
        "<a>:<b>:<c>",
        "<a> : <b> : <c> | <ka>:<kb>:<kc> | <a> to <b> to <c> | x:y:z=<a>:<b>:<c>",
        r"<a>:<c>:<b> | <c>:<b>:<a> | <a>:<b> | <a>:<b>:<c>0 | \frac{<a>}{<bc>} | <a>, <b>, <c>"
        r" | <ka>:<b>:<c>",
        **{"a": a, "b": b, "c": c, "ka": k * a, "kb": k * b, "kc": k * c, "bc": b * c},
    )


def left_sides(random: Random) -> Drawn:
    """Draw left sides."""
    n, m = random.randint(20, 400), random.randint(3, 9)
    return drawn(
        "<n>",
        r"x=<n> | f(<m>)=<n> | \angle ABC=<n>^\circ | |AB|=<n> | m+n=<m>+<d>=<n> | <n>=x | a_{<m>}=<n>"
        r" | \text{Area}=<n> | P(X=<m>)=<n>"
        r" | S_<m> = <n> | f(g(<m>))=<n> | <m>+<d>=<n>",
        r"x=<more> | f(<n>)=<more> | <m>x=<n> | x^2=<n> | x+<m>=<n> | m+n=<m>+<d>=<more> | x\ne <n>"
        r" | x><n> | x^2+<m>x=<n> | y=<n>x"
        r" | \frac{x^2}{<m>}+y^2=<n> | x=<n>, y=<m>",
        **{"n": n, "m": m, "d": n - m, "more": n + 1},
    )


def matrices(random: Random) -> Drawn:
    """Draw matrices."""
    a, b, c, d = random.sample(range(-9, 10), 4)
    return drawn(
        r"\begin{pmatrix}<a>&<b>\\<c>&<d>\end{pmatrix}",
        r"\begin{bmatrix}<a>&<b>\\<c>&<d>\end{bmatrix} | Matrix([[<a>, <b>], [<c>, <d>]])"
        r" | \begin{pmatrix} <a> & <b> \\ <c> & <d> \end{pmatrix}",
        r"\begin{pmatrix}<a>&<c>\\<b>&<d>\end{pmatrix} | Matrix([[<b>, <a>], [<c>, <d>]])"
        r" | \begin{pmatrix}<a>&<b>\\<c>&<more>\end{pmatrix}"
        r" | \begin{pmatrix}<a>\\<b>\\<c>\\<d>\end{pmatrix} | \begin{vmatrix}<a>&<b>\\<c>&<d>\end{vmatrix}",
        **{"a": a, "b": b, "c": c, "d": d, "more": d + 1},
    )


def lines(random: Random) -> Drawn:
    """Draw lines."""
    a, b, c, k = (
        random.choice((2, 3, 5)),
        random.choice((-7, -4, 4, 7)),
        random.randint(1, 20),
        random.randint(2, 5),
    )
    return drawn(
        "<a>x<b>y=<c>",
        "<c>=<a>x<b>y | <ka>x<kb>y=<kc> | <a>x<b>y-<c>=0 | <b>y+<a>x=<c> | -<a>x<mb>y=-<c>",
        "<a>x<mb>y=<c> | <a>x<b>y=<more> | <a>x<b>y | <c> | <a>y<b>x=<c> | <a>x<b>y><c> | <a>x<b>z=<c>",
        **{
            "a": a,
            "b": signed(b),
            "c": c,
            "ka": k * a,
            "kb": signed(k * b),
            "kc": k * c,
            "mb": signed(-b),
        },
        more=c + 1,
    )


def times_of_day(random: Random) -> Drawn:
    """Draw times of day."""
    hour, minute = random.randint(1, 11), random.randint(10, 58)
    return drawn(
        r"<h>:<m>\text{ p.m.}",
        "<h>:<m> PM | <h>:<m> p.m. | <h24>:<m> | <h>:<m>",
        "<h>:<m> AM | <h>:<more> PM | <h1>:<m> PM | <h>.<m> | <h><m> | <h>:<more>",
        **{"h": hour, "m": minute, "h24": hour + 12, "h1": hour + 1, "more": minute + 1},
    )
