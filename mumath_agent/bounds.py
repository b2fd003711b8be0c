"""Refuse settings that nothing could be done with, before anything is done with them."""

from collections.abc import Mapping

from mumath_agent.errors import InputError

_MAY_BE_0 = ("max_recoveries", "max_nudges")
_MAY_BE_NONE = ("max_nudges",)
_SAMPLING = {"temperature": (0.0, 1e6), "top_p": (1e-9, 1.0)}


def check_limits(values: Mapping[str, object]) -> None:
    """Check the values of `Limits` by name.

    Raises:
        InputError: one isn't a positive number.
    """
    for name, value in values.items():
        if value is None and name in _MAY_BE_NONE:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"limit {name} is {value!r}; it must be a number")
        if value != value or value < 0 or (value == 0 and name not in _MAY_BE_0):
            raise InputError(f"limit {name} is {value}; it must be positive")


def check_sampling(values: Mapping[str, object]) -> None:
    """Check the values of `Sampling` by name.

    Raises:
        InputError: nothing can be sampled with one.
    """
    for name, (least, most) in _SAMPLING.items():
        value = values[name]
        if not (isinstance(value, int | float) and least <= value <= most):
            raise InputError(f"{name} is {value!r}; it must be a number, {least:g} to {most:g}")
