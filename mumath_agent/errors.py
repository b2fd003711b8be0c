"""The errors of the library, in one tree.

Errors are for machinery that broke and for input that can't be used. A Python exception in model-written
code, a missing answer and a grader that ran out of time are results (`records.py`), never exceptions.

    MuMathError
    ├── InputError            the caller's question, file or setting can't be used
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
