"""What a client's model reads of the server, its tools and their arguments."""

OUTPUT_CHARS = 4000
"""Characters of a program's output; longer ones lose their middle, visibly."""

INSTRUCTIONS = (
    "Exact mathematics by executed Python. `solve` answers one self-contained question; `python` runs a program of "
    "yours in a session whose variables last."
)
SOLVE = (
    "Solve a mathematical problem by reasoning and executed Python, and get its final answer. {caution}It sees nothing "
    "of this conversation: give it the whole problem in one self-contained question that asks for one answer."
)
PYTHON = (
    "Run Python in an isolated session and read what it prints. Leave out `session` to begin a new one; its handle "
    "comes with the output. Give the handle to go on: variables, functions and imports last. numpy, scipy and sympy "
    "are there, the network, files and input() are not. Print what you need to see; the value of a last line that is "
    "an expression is shown, too, and so are matplotlib's figures."
)
END = "End a Python session that isn't needed any more."
TRANSCRIPT = "How an answer of `solve` was found: words, programs and outputs."
QUESTION = "The whole problem, self-contained, in words and LaTeX, with every number it needs."
ATTEMPTS = "Attempts, of which the most frequent answer counts: slower, and surer."
CODE = "The program to run."
HANDLE = "The handle of a session that an earlier call began."
