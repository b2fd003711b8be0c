"""Show chat models how to work: two solved problems, our own, as the turns of a conversation before the question.

A model that wasn't trained on programs in fences follows an example more surely than an instruction. The examples have
answers of two forms, and one has a program that fails: models copy all of that.
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
        "Find all real solutions of $x^4 - 5x^2 + 4 = 0$, in increasing order and separated by commas.",
        r"""I let sympy solve the equation.

```python
from sympy import symbols, solve
x = symbols('x', real=True)
solutions = sorted(solve(x**4 - 5*x**2 + 4, x))
print(solutions.join(', '))
```
```output
line 4: print(solutions.join(', '))
AttributeError: 'list' object has no attribute 'join'
```
A list has no join; I print the list itself.

```python
print(solutions)
```
```output
[-2, -1, 1, 2]
```
The solutions are $\boxed{-2, -1, 1, 2}$.""",
    ),
)


@cache
def solved_problems() -> tuple[Transcript, ...]:
    """Return the worked examples as transcripts in the fenced dialect."""
    fenced = Fenced()
    return tuple(Transcript(question=question, segments=fenced.parse(text)) for question, text in _SOLVED)
