"""The errors of the library, in one tree.

Errors are for machinery that broke and for input that can't be used. A Python exception in model-written
code, a missing answer and a grader that ran out of time are results (`records.py`), never exceptions.

    MuMathError
    ├── InputError            the caller's question, file or setting can't be used
    │   ├── GraphInputError   the graph's input or context can't
    │   └── MissingExtra      it needs packages that aren't installed
    ├── ModelError            the language model can't serve
    │   ├── ModelUnreachable  nothing answers at the address; retrying later may help
    │   └── ModelRefused      the server answered and said no (a wrong kind of prompt, say)
    │       └── ModelMisconfigured   the model's name, the key or the address is wrong; also an InputError
    └── KernelError           a Jupyter kernel couldn't be started or replaced

Every message names the thing, the value and the next move, on one line.
"""


class MuMathError(Exception):
    """Anything this library raises on purpose."""


class InputError(MuMathError):
    """Input or configuration that can't be used as given."""


class MissingExtra(InputError):
    """What was asked for needs packages that the base installation doesn't bring."""

    def __init__(self, what: str, extra: str) -> None:
        """Name what needs the extra, and how to install it before and after there is a release."""
        super().__init__(
            f"{what} needs the extra {extra}: pip install '.[{extra}]' in a checkout, "
            f"pip install 'mumath-agent[{extra}]' elsewhere"
        )


class GraphInputError(InputError, ValueError):
    """A run of the graph got input or a context that can't be used.

    It is a ValueError, too: LangGraph's server tells its clients only the words of Python's own kinds of error.
    """


class ModelError(MuMathError):
    """The language model can't serve this request."""


class ModelUnreachable(ModelError):
    """Nothing answered, or what answered broke off, also after retries."""


class ModelRefused(ModelError):
    """The server answered and refused; the same request would be refused again."""


class ModelMisconfigured(ModelRefused, InputError):
    """The model's name, the key or the address is wrong: every request would fail, and only the user can change it."""


class KernelError(MuMathError):
    """A Jupyter kernel couldn't be started or replaced."""
