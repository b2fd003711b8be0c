"""Check what is taken out of a program's text: other families' special tokens, and characters nobody sees."""

import unicodedata
from dataclasses import replace

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from mumath_agent.dialects import Blocks, Fenced
from mumath_agent.dialects.fenced import harmless
from mumath_agent.dialects.marks import remark, seen, unmarked
from mumath_agent.dialects.output import output_text
from mumath_agent.models.tokens import special_tokens
from mumath_agent.records import Execution, ExecutionStatus
from mumath_agent.transcript import Transcript

NAMED = """
<s> </s> <unk> <pad> <bos> <eos> <mask> <cls> <sep> <sop> <eop> <eod> <PAD> <UNK> <CLS> <EMAIL>
<start_of_turn> <end_of_turn> <start_of_image> <end_of_image> <image_soft_token> <unused12>
<think> </think> <tool_call> </tool_call> <tool_response> </tool_response> <tools> </tools> <arg_key> </arg_value>
<|im_start|> <|im_end|> <|endoftext|> <|fim_prefix|> <|reserved_special_token_0|> <|eot_id|> <|assistant|> <|user|>
<|START_OF_TURN_TOKEN|> <BOS_TOKEN> <EOP_TOKEN> <|vision_start|> <|box_end|> <|python_tag|> <|begin_of_box|>
<｜begin▁of▁sentence｜> <｜Assistant｜> <｜tool▁calls▁begin｜> <｜DSML｜invoke <｜User｜>
[INST] [/INST] <<SYS>> <</SYS>> [TOOL_CALLS] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS]
[SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT] [CALL_ID] [ARGS] [THINK] [/THINK] [IMG] [IMG_BREAK] [IMG_END]
[PREFIX] [MIDDLE] [SUFFIX] [AUDIO] [BEGIN_AUDIO] [control_8] <SPECIAL_12> <special_12>
[gMASK] [sMASK] [MASK] [CLS] [SEP] [PAD] [UNK] [BOS] [EOS] [EOT] [|user|] [|assistant|] [|endofturn|]
<fim_prefix> <fim_middle> <fim_suffix> <fim_pad> <file_sep> <repo_name> <gh_stars> <jupyter_output> <empty_output>
<issue_start> <commit_msg> <code_to_intermediate> <reponame> <pr_diff_hunk_comment_line>
<reserved_106> <reserved_107> <extra_id_0> <TOKENS_UNUSED_0> <dummy00001> <0x0A> <eoh> <eoa>
<function=python> <parameter=code> <seed:think> </seed:tool_call> <minimax:tool_call> ]~b] ]~!b[ [e~[
＜bos＞ ﹤tool_call﹥ <／think> ［INST］ ［/INST］
<user> <assistant> <system> <human> <bot> <AI> <用户> <PRE> <SUF> <MID> <fim-prefix> <endoftext> <image> </img> <answer>
[UNUSED1] [unused99] [@BOS@] <madeupword0000>
"""
MARKS = [*NAMED.split(), "[BEGIN FINAL RESPONSE]"]
ORDINARY = """
a < b|x <y> z|<b>|<div>|</p>|<br/>|<img src='a.png'>|<lambda>|<module>|<class 'a_b.C'>|<function f_g at 0x7f>
<__main__.Foo_Bar object at 0x7f>|'<U5'|x<3>2|1 << 3|a_1 < b_2|[INST|[1, 2]|[x, y]|[A]|[ABC]|[X_1, X_2]|[x_1]|[]
dtype('<f8')|<cell 1>|<Figure size 640x480>|(x_1 <= y_2)|{x: y}|</>|<>|[[1], [2]]|a | b|<x, y>|a<b and c>d
""".replace("\n", "|").split("|")


@pytest.mark.parametrize("mark", MARKS)
def test_no_output_holds_a_special_token_of_any_family(mark: str) -> None:
    for text in (mark, f"a{mark}b", f"<{mark}>", mark * 3, f"x\n{mark}\n", f"{mark[0]}\u200b{mark[1:]}"):
        shown = harmless(output_text(printed(text), max_chars=1000))
        assert mark not in shown
        assert shown.replace(" ", "") == seen(text).strip("\n").replace(" ", "")


@pytest.mark.parametrize("token", ["§begin§", "[A]", "aa", "begin of text", "<!--"])
@pytest.mark.parametrize("dialect", [Fenced(), Blocks()])
def test_no_output_holds_a_special_token_of_the_models_own_tokenizer(
    dialect: Fenced | Blocks, token: str
) -> None:
    tokenizer = Tokenizer(BPE())
    tokenizer.add_special_tokens([token, f"\n{token}", "x", " "])
    assert set(special_tokens(tokenizer)) == {token}
    told = replace(dialect, own_tokens=special_tokens(tokenizer))
    for text in (token, f"a{token}b", token * 3, token[0] + token):
        shown = told.with_output(Transcript(question="?"), printed(text), max_chars=1000).text
        assert token not in shown
        assert text.replace(" ", "") in shown.replace(" ", "")


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_output_keeps_its_bytes(text: str) -> None:
    assert unmarked(text) == text


def printed(text: str) -> Execution:
    return Execution(status=ExecutionStatus.OK, stdout=text, duration_s=0)


UNSEEN = {
    "zero-width": "\u200b\u200c\u200d\u2060\ufeff",
    "soft hyphen": "\u00ad",
    "tags": "".join(chr(0xE0000 + ord(letter)) for letter in "answer 999") + "\U000e0001\U000e007f",
    "variation selectors": "\ufe00\ufe0f\U000e0100\U000e01ef\u180b\u180f",
    "fillers": "\u115f\u1160\u3164\uffa0\u034f\u17b4",
    "invisible operators": "\u2061\u2062\u2063\u2064\u206a\u206f",
    "directions": "\u061c\u200e\u200f\u202a\u202e\u2066\u2069",
    "notes between lines": "\ufff9\ufffa\ufffb",
    "controls": "\x00\x07\x08\x1b\x7f\x80\x9b",
    "format characters": "".join(c for c in map(chr, range(0x110000)) if unicodedata.category(c) == "Cf"),
}


@pytest.mark.parametrize("unseen", UNSEEN.values(), ids=UNSEEN.keys())
def test_a_model_reads_what_a_person_sees(unseen: str) -> None:
    assert seen(f"1{unseen}2") == "12"
    executions = [
        printed(f"1{unseen}2"),
        Execution(status=ExecutionStatus.OK, stderr=f"1{unseen}2", duration_s=0),
        Execution(status=ExecutionStatus.OK, result=f"1{unseen}2", duration_s=0),
        Execution(status=ExecutionStatus.ERROR, error=f"1{unseen}2", duration_s=0),
    ]
    assert {output_text(execution, max_chars=100) for execution in executions} == {"12"}


def test_what_is_seen_stays() -> None:
    text = "é ñ α ∑ √2 ⎛x⎞ x̂ ½ 中文 עברית العربية 😀 ​"[:-1] + "a\tb\nc\u00a0d"
    assert seen(text) == text
    assert seen("1\u20282\u20293\r4\r\n5") == "1\n2\n3\n4\n5"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("it broke", "it broke"),
        ("a\x1b[2J\x00b\u202ec\ud800\nd", "a[2Jbc\\ud800 d"),
        ("x" * 10**6, "x" * 200),
        (b"bytes", ""),
        ([["x"]], ""),
        (None, ""),
    ],
)
def test_a_reason_is_one_short_line(said: object, shown: str) -> None:
    assert remark(said) == shown
