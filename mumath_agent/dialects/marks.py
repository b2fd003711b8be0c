"""Take out of a program's text what must not reach a model or a terminal: unseen characters and models' special tokens.

A person sees what the model sees, and a tokenizer finds none of its own tokens in what a program printed.
"""

import re
from collections.abc import Sequence

# Control characters except tab and newline, and every character that Unicode calls a format character or lets programs
# ignore: zero-width ones, soft hyphens, fillers, variation selectors, tags, and those that change the direction.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_LINE_ENDS = re.compile("\r\n|[\r\u2028\u2029]")

# Words between < and >, with a slash before them or not: no family's tokenizer minds which of them are its own.
_WORDS = (
    "s|unk|pad|bos|eos|eod|eop|eot|sop|sep|cls|mask|eoh|eoa|think|thinking|thought|reasoning|scratchpad|tools|observation"
    "|user|assistant|system|human|bot|ai|用户|endoftext|image|img|video|audio|fim-(?:prefix|middle|suffix|pad)|madeupword\\d+"
    "|reponame|filename|box|ref|quad|ans|answer|invoke|parameter|minimax:[a-z_]+|seed:[a-z_]+|mask:\\d+|antml:[a-z_]+"
    "|(?:unused|dummy|special|extra|reserved)\\d+|0x[0-9a-f]{2}"
)
_MARK = re.compile(
    r"[<＜﹤](?=[|｜][^|｜<>\s]{1,60}[|｜]"  # <|im_end|>, <｜Assistant｜>
    rf"|[/／]?(?:{_WORDS})[>＞﹥]"
    r"|[/／]?[a-z0-9]{1,40}(?:_[a-z0-9]{1,40}){1,8}[>＞﹥]"  # <end_of_turn>, <tool_call>, <reserved_106>
    r"|[/／]?(?-i:PAD|UNK|CLS|SEP|BOS|EOS|MASK|PRE|SUF|MID|NAME|EMAIL|KEY|PASSWORD)[>＞﹥]"
    r"|(?:function|parameter|tool)=[\w.-]{1,60}[>＞﹥]"
    r"|<[/／]?SYS>>)"
    r"|[\[［](?=/?INST[\]］]|unused\d{1,4}\]|@[BE]OS@\]|(?:BEGIN|END) FINAL RESPONSE\]|[|｜][a-z0-9_]{1,40}[|｜]\]"
    r"|(?-i:/?(?:[A-Z]{2,20}(?:_[A-Z]{2,20}){1,3}|THINK|IMG|ARGS|PREFIX|MIDDLE|SUFFIX|AUDIO|[gs]?MASK|CLS|SEP|PAD|UNK"
    r"|BOS|EOS|EOT|control_\d{1,4}|start_header_id|end_header_id)\]))"
    r"|\](?=~!?b[\[\]])|\[(?=e~\[)",
    re.IGNORECASE,
)


def seen(text: str) -> str:
    """Return `text` as a person sees it: all line ends as newlines, and no characters that can't be seen."""
    return _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))


def remark(text: object, max_chars: int = 200) -> str:
    """Return what some process gave as a reason, fit for one line of ours; empty if it isn't a text."""
    if not isinstance(text, str):
        return ""
    words = seen(text[: 2 * max_chars].encode("utf-8", "backslashreplace").decode()).split()
    return " ".join(words)[:max_chars]


def unmarked(text: str, own_tokens: Sequence[str] = ()) -> str:
    """Return `text` with a space in every special token of some family, and of the tokenizer that will read it."""
    text = _MARK.sub(lambda mark: f"{mark.group()} ", text)
    for token in own_tokens:
        while token in text:  # "aaa" has "aa" twice
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
