"""Colour Python programs, as runs of characters: "k3p1f4" is a keyword of 3, 1 plain one, a function's name of 4.

The page colours a program when it is looked at. It carries only these runs, and no markup is ever made of what a model
wrote.
"""

from collections.abc import Iterator
from itertools import groupby

from pygments.lexers.python import PythonLexer
from pygments.token import Token

_CLASSES = (
    (Token.Comment, "c"),
    (Token.Literal.String, "s"),
    (Token.Literal.Number, "n"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Name.Builtin, "b"),
    (Token.Name.Exception, "b"),
    (Token.Name.Function, "f"),
    (Token.Name.Class, "f"),
)
_LEXER = PythonLexer()


def colours(program: str) -> str:
    """Return the runs of a program; their lengths, in code points, add up to its own."""
    runs = groupby(_characters(program), key=lambda run: run[0])
    return "".join(f"{mark}{sum(length for _, length in run)}" for mark, run in runs)


def _characters(program: str) -> Iterator[tuple[str, int]]:
    for _, kind, text in _LEXER.get_tokens_unprocessed(program):
        yield next((mark for parent, mark in _CLASSES if kind in parent), "p"), len(text)
