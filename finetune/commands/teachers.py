"""Which teacher `synthesize` and `augment` ask: servers, or a model of this machine."""

import os
from collections.abc import Sequence

from mumath_agent.errors import InputError


def one_teacher(teacher: Sequence[str] | None, local: str | None) -> str | None:
    """Return the local model if that is the teacher; one of the environment is for when no other is named.

    Raises:
        InputError: none is named, or two are.
    """
    if teacher and not is_said(local):
        return None
    if teacher:
        raise InputError(f"--teacher {teacher[0]} and --local {local} name different teachers; leave out one")
    if not local:
        raise InputError(
            "name a teacher: --teacher with the address of a server, or --local with a GGUF model"
        )
    return local


def is_said(local: str | None) -> bool:
    """Tell whether a local model is named on the command line, and not only in the environment."""
    return (local or "") != os.environ.get("MUMATH_LOCAL", "")
