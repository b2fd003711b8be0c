"""Warm the fork server up: run typical programs in its idle moments, so that their one-time cost is paid once.

A first `solve` imports three dozen modules and fills caches; done before the fork, all kernels share the result.
Nothing a warm-up program defines is left, and random generators are seeded anew in every kernel.
"""

import contextlib
import gc
import linecache
import sys
from collections.abc import Iterator

from mumath_agent.sandbox import linux
from mumath_agent.sandbox.shell import CellCompiler, Shell

PROGRAMS = (
    "import math, fractions, itertools\nn = [i * i for i in range(10)]\nsum(n)",
    "1 / 0",
    "f'{3.5:.2f}', fractions.Fraction(1, 3), math.comb(5, 2), divmod(7, 2)",
    """
import sympy
from sympy import *
x, y = symbols('x y')
solve(x**2 - 5*x + 6, x)
""",
    "solve([Eq(x + y, 10), Eq(x - y, 2)], [x, y]), solve(x**3 - 2*x - 5, x), solve(Eq(2*x + 3, 11), x)[0]",
    "simplify((x**2 - 1)/(x - 1)), expand((x + y)**3), factor(x**2 - y**2), Rational(3, 4) + sqrt(8)",
    "integrate(x**2 * exp(x), x), diff(sin(x)/x, x), limit(sin(x)/x, x, 0), summation(x, (x, 1, 10))",
    "Matrix([[1, 2], [3, 4]]).det(), Matrix([[2, 1], [1, 3]]).eigenvals(), N(pi, 20), latex(x/y), factorint(360)",
    "solveset(x**2 < 4, x, S.Reals), trigsimp(sin(x)**2 + cos(x)**2), binomial(7, 3), gcd(84, 36), nsimplify(0.75)",
    "import numpy as np\nnp.linalg.solve(np.array([[3., 1.], [1., 2.]]), np.array([9., 8.])), np.roots([1, -3, 2])",
)


def programs(shell: Shell) -> Iterator[None]:
    """Run one program each time this is advanced; in between the shell is as new, because it may be forked then."""
    names = dict(shell.user_ns)
    made: dict[str, object] = {}
    for program in PROGRAMS:
        shell.user_ns.update(made)
        # A library may be missing. The output goes nowhere.
        with contextlib.suppress(Exception):
            shell.run_cell(program)  # type: ignore[no-untyped-call]
        made = {name: value for name, value in shell.user_ns.items() if name not in names}
        shell.user_ns.clear()
        shell.user_ns.update(names)
        _forget(shell)
        yield
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        linux.gather_memory()


def _forget(shell: Shell) -> None:
    """Drop what a cell leaves behind besides its names."""
    shell.displayhook._ = shell.displayhook.__ = shell.displayhook.___ = ""
    shell.last_error = None
    for name in [name for name in linecache.cache if name.startswith("<cell ")]:
        del linecache.cache[name]
    shell.compile = CellCompiler()  # type: ignore[no-untyped-call]
    CellCompiler.cells = 0
