"""Fill the prompt files of the perspectives, and hash them for the manifest.

A file opens with a comment that tells where its idea is from and isn't sent. `{question}` and its like are filled in
one pass, so that braces in LaTeX, and in what is filled in, stay as they are.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from finetune.data.augment.perspectives import Perspective
from finetune.data.jobs import sha256
from mumath_agent.problems import read_text

FOLDER = Path(__file__).parents[1] / "prompts"
PLACES = ("question", "solution", "answer", "masked", "letter", "harder", "expressions", "changed", "hidden")
_COMMENT = re.compile(r"\A\s*<!--.*?-->\s*", re.DOTALL)
_PLACE = re.compile(rf"\{{({'|'.join(PLACES)})\}}")


def prompt_file(perspective: Perspective) -> Path:
    """Return the file of a perspective's prompt."""
    return FOLDER / f"{perspective}.md"


def rendered(perspective: Perspective, values: Mapping[str, str]) -> str:
    """Return the prompt with its places filled; every place of the file must be among `values`."""
    return _PLACE.sub(lambda place: values[place[1]], _sent(perspective))


def places(perspective: Perspective) -> frozenset[str]:
    """Return the places that a prompt has."""
    return frozenset(_PLACE.findall(_sent(perspective)))


def digests(perspectives: Iterable[Perspective]) -> dict[str, str]:
    """Return the SHA-256 of the prompt files, by file name; FOBAR is a rule's and has none."""
    return {file.name: sha256(file) for file in map(prompt_file, perspectives) if file.exists()}


@cache
def _sent(perspective: Perspective) -> str:
    return _COMMENT.sub("", read_text(prompt_file(perspective))).strip() + "\n"
