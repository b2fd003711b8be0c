"""Tell which of several choices an answer names: "(B)", "B) 12", "option B"; a hedge or a denial names none.

This works on normalised text, in which "or" has become a comma, and looks only at characters.
"""

import re

_CHOICE = re.compile(
    r"(?:\(?([A-P])\)?\Z|\(([A-P])\)(?=\s*[^\W\d_]{3})|(?-i:\(([A-P])\)(?=\s*(?:[\d$]|\\(?!cdot|times))))|([A-P])[).](?=.)"
    r"|(?:option|choice)(?: |(?=\())\(?([A-P])\b\)?)(.*)",
    re.IGNORECASE,
)
_SAID_OF_CHOICE = re.compile(
    r"\W*(?:(?:is|are|was|were|can|could|may|might|must|should|would|will|does|do|did|has|seems?|looks?|cannot|not)\b|\w+n'?t\b)",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    r"\W*is\s+(?:the\s+)?(?:correct|right|true|best|answer)(?:\s+(?:answer|choice|option|one))?\W*",
    re.IGNORECASE,
)
_OTHER_CHOICE = re.compile(
    r"(?<!\w)\(([A-P])\)|(?<![\w(])([A-P])\)|\b(?:option|choice)\s+\(?([A-P])\b|(?:[,;/]|\bor\b|\band\b)\s*([A-P])\W*$",
    re.IGNORECASE,
)


def choice(text: str) -> str | None:
    """Return the letter of an answer that names one of several choices."""
    match = _CHOICE.fullmatch(text)
    if match is None:
        return None
    *letters, rest = match.groups()
    letter = next(found.upper() for found in letters if found)
    others = {other.upper() for found in _OTHER_CHOICE.findall(rest) for other in found if other}
    if others - {letter} or (_SAID_OF_CHOICE.match(rest) and not _CONFIRMED.fullmatch(rest)):
        return None  # "A) or B)", "Choice C is wrong"
    return letter
