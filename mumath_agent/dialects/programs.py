"""Tell whether a text is a Python program, without running it and whatever it is.

Python's parser recurses, and a text made for it can end the process. So the text is cut into tokens first, which takes
no recursion, and only what can't nest deeply is parsed.
"""

import ast
import io
import tokenize
import warnings

_MAX_CHARS = 20_000
_MAX_TOKENS = 1000
"""The longest statement: what a tree can nest within one."""
_MAX_INDENTS = 40
_MAX_ELIFS = 200
"""Each `elif` lies within the one before it."""
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError)
_ACTS = (ast.Import, ast.ImportFrom, ast.For, ast.While, ast.FunctionDef, ast.With)
_ASSIGNS = (ast.Assign, ast.AugAssign, ast.AnnAssign)


def parses(code: str) -> bool:
    """Tell whether `code` is Python with at least one statement."""
    tree = _tree(code)
    return tree is not None and bool(tree.body)


def is_program(code: str) -> bool:
    """Tell whether `code` is Python that does something: a value, a formula or the line `x = 3` does not."""
    tree = _tree(code)
    if tree is None:
        return False
    nodes = list(ast.walk(tree))
    if any(isinstance(node, _ACTS) or _calls(node) for node in nodes):
        return True
    assigns = any(isinstance(node, _ASSIGNS) for node in nodes)
    return assigns and any(isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) for node in nodes)


def computes(code: str) -> bool:
    """Tell whether `code` is a program or a calculation, as `6 * 7` is; `what is it` is neither."""
    tree = _tree(code)
    return is_program(code) or (tree is not None and any(isinstance(n, ast.BinOp) for n in ast.walk(tree)))


def _calls(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and not isinstance(node.func, ast.Constant)  # 30 (180) is no call


def _tree(code: str) -> ast.Module | None:
    try:
        if not _is_flat(code):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is the model's affair
            return ast.parse(code)
    except _UNREADABLE:
        return None


def _is_flat(code: str) -> bool:
    """Tell whether no statement of `code` is long enough to nest deeply."""
    if len(code) > _MAX_CHARS:
        return False
    tokens = indents = elifs = 0
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        tokens = 0 if token.type == tokenize.NEWLINE else tokens + 1
        indents += (token.type == tokenize.INDENT) - (token.type == tokenize.DEDENT)
        elifs += token.string == "elif"
        # Before Python 3.12 an f-string, with whatever it nests, is one token.
        if token.type == tokenize.STRING and "f" in token.string[:2].lower():
            tokens += len(token.string)
        if tokens > _MAX_TOKENS or indents > _MAX_INDENTS or elifs > _MAX_ELIFS:
            return False
    return True
