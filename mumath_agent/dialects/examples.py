"""Show chat models how to work: two solved problems, our own, as the turns of a conversation before the question.

A model that wasn't trained on programs in fences follows an example more surely than an instruction.
"""

from functools import cache

from mumath_agent.dialects.fenced import Fenced
from mumath_agent.transcript import Transcript

_SOLVED = (
    (
        "A box of 24 crayons costs $6. A teacher buys crayons for 90 pupils, 8 for each, and only whole boxes are "
        "sold. How much does she pay?",
        r"""I count the crayons, then the whole boxes, then the price.

```python
crayons = 90 * 8
boxes = -(-crayons // 24)
print(boxes, boxes * 6)
```
```output
30 180
```
She needs 30 boxes, which cost $\boxed{180}$ dollars.""",
    ),
    (
        "What is the sum of all real solutions of $x^3 - 4x^2 + x + 6 = 0$?",
        r"""I let sympy solve the equation and add the real solutions.

```python
from sympy import symbols, solve
x = symbols('x', real=True)
solutions = solve(x**3 - 4*x**2 + x + 6, x)
print(solutions, sum(solutions))
```
```output
[-1, 2, 3] 4
```
The solutions are $-1$, $2$ and $3$; their sum is $\boxed{4}$.""",
    ),
)


@cache
def solved_problems() -> tuple[Transcript, ...]:
    """Return the worked examples as transcripts in the fenced dialect."""
    fenced = Fenced()
    return tuple(Transcript(question=question, segments=fenced.parse(text)) for question, text in _SOLVED)
