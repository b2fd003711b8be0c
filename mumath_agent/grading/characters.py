r"""Write typographic characters as LaTeX and ASCII: `3×10⁵`, `⅔`, `a₁`, `√12`, `0.3̅`, `**73**`.

This is the first step of `notation`. A text of plain ASCII passes as it is.
"""

import re
from unicodedata import normalize

_CHARACTERS = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "÷": "/", "∕": "/", "⁄": "/", "∶": ":"}
    | {"√": r"\sqrt ", "∛": r"\sqrt[3] ", "∜": r"\sqrt[4] ", "π": r"\pi ", "θ": r"\theta ", "∠": r"\angle "}
    | {"×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "±": r"\pm ", "∓": r"\mp "}
    | {
        "≤": r"\le ",
        "≥": r"\ge ",
        "⩽": r"\le ",
        "⩾": r"\ge ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "≡": r"\equiv ",
    }
    | {"∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "∞": r"\infty ", "°": r"^{\circ}"}
    | {"α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "λ": r"\lambda ", "φ": r"\varphi "}
    | {"ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}"}
    | {"⟨": "(", "⟩": ")", "“": '"', "”": '"', "‘": "'", "’": "'", "′": "'"}
    | dict.fromkeys("\0\u200b\u200c\u200d\u2060\ufeff", " ")
)
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼ]+")
_FRACTION = re.compile("[¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞↉]")
_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[^\W\d_])")
_OVERLINED = re.compile("(?:\\d[\u0304\u0305])+")
_DOTTED = re.compile("(\\d)\u0307(?:(\\d*)(\\d)\u0307)?")
_MARKED = re.compile(r"(\*\*?|__|`+|')\s*((?:(?!\1).)+?)\s*\1")
"""Bold, italics and code, as Markdown marks them, and what stands in quotes."""


def in_ascii(text: str) -> str:
    """Return `text` without marks of Markdown around all of it, and without characters that LaTeX writes otherwise."""
    while marked := _MARKED.fullmatch(text.strip()):
        text = marked[2]
    if text.isascii():
        return text.replace("\0", " ")
    text = _OVERLINED.sub(lambda digits: rf"\overline{{{re.sub(r'[^0-9]', '', digits[0])}}}", text)
    text = _DOTTED.sub(r"\\overline{\1\2\3}", text)
    text = _RAISED.sub(lambda raised: f"^{{{normalize('NFKC', raised[0])}}}", text)
    text = _LOWERED.sub(lambda lowered: f"_{{{normalize('NFKC', lowered[0])}}}", text)
    text = _FRACTION.sub(_fraction, text)
    text = _ROOT.sub(r"\\sqrt{\1}", text).translate(_CHARACTERS)
    return normalize("NFKC", text).translate(_CHARACTERS)


def _fraction(character: re.Match[str]) -> str:
    above, _, below = normalize("NFKC", character[0]).partition("⁄")
    return rf"\frac{{{above}}}{{{below}}}"
