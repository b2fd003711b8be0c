"""A real vLLM and what the dialects of special tokens and of messages need of it.

The toy's weights serve under a tokenizer whose fences are renamed to MathCoder's marks and declared special,
and with a chat template: the model writes the same ids as ever, and their text is what is tested.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mumath_agent.dialects import get_dialect, request_fields
from mumath_agent.dialects.families import DIALECT_KEY
from mumath_agent.models.http.chat_completions import ChatCompletionsModel
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.models.select import model_at
from mumath_agent.protocols import CompletionRequest, Conversation, Message, Role
from mumath_agent.records import FinishReason
from tests.toy import TOY

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.slow]

QUESTION = "Tom has 3 apples and buys 4 more. How many apples does Tom have?"
PROMPT = f"<|user|>\n{QUESTION}\n<|assistant|>\n"
RENAMED = {"```python": "<|code|>", "```output": "<|execution|>", "```": "<|endofblock|>"}
TEMPLATE = "{% for message in messages %}<|user|>\n{{ message['content'] }}\n{% endfor %}<|assistant|>\n"


@pytest.fixture(scope="module")
def base_url(serve_vllm: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("weights") / "marked"
    shutil.copytree(TOY, folder)
    for token in edited(folder / "tokenizer.json")["added_tokens"]:
        assert token["content"] not in RENAMED.values() or token["special"]
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": TEMPLATE}))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {DIALECT_KEY: "blocks"}))
    return serve_vllm(folder)


def edited(path: Path) -> Any:
    """Rename the fences in a tokenizer's file, and return the tokenizer as it is now written there."""
    tokenizer = json.loads(path.read_text("utf-8"))
    for token in tokenizer["added_tokens"]:
        if token["content"] in RENAMED:
            token |= {"content": RENAMED[token["content"]], "special": True}
    vocabulary = tokenizer["model"]["vocab"]
    for old, new in RENAMED.items():
        if old in vocabulary:
            vocabulary[new] = vocabulary.pop(old)
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    return tokenizer


async def test_marks_that_are_special_tokens_stay_in_the_text_and_stop_it(base_url: str) -> None:
    blocks = get_dialect("blocks")
    texts = {}
    for asked in ("as ever", "for blocks"):
        extra = request_fields(blocks) if asked == "for blocks" else None
        model = CompletionsModel(base_url, extra_body=extra)
        completion = await model.complete(CompletionRequest(prompt=PROMPT, stop=blocks.stop, max_tokens=120))
        texts[asked] = completion.text
        await model.aclose()
    assert "<|code|>" in texts["for blocks"] and texts["for blocks"].rstrip().endswith("<|endofblock|>")
    assert "<|" not in texts["as ever"] and len(texts["as ever"]) > len(texts["for blocks"])  # never stopped


async def test_a_config_that_names_its_dialect_is_believed(base_url: str) -> None:
    chosen = await model_at([base_url], None)
    assert (chosen.dialect.name, chosen.family.name) == ("blocks", "own export")


async def test_messages(base_url: str) -> None:
    model = ChatCompletionsModel(base_url, "mumath")
    prompt = Conversation(messages=(Message(role=Role.USER, text=QUESTION),))
    pieces: list[str] = []
    whole = await model.complete(CompletionRequest(prompt=prompt, max_tokens=120), pieces.append)
    assert "".join(pieces) == whole.text and len(pieces) > 5
    assert whole.finish_reason is FinishReason.STOP and whole.completion_tokens > whole.prompt_tokens > 5
    cut = await model.complete(CompletionRequest(prompt=prompt, max_tokens=3))
    assert (cut.finish_reason, cut.completion_tokens) == (FinishReason.LENGTH, 3)
    stopped = await model.complete(CompletionRequest(prompt=prompt, stop=("print",), max_tokens=120))
    assert "print" not in stopped.text and whole.text.startswith(stopped.text)
    too_long = Conversation(messages=(Message(role=Role.USER, text="word " * 3000),))
    nothing = await model.complete(CompletionRequest(prompt=too_long, max_tokens=9))
    assert (nothing.text, nothing.finish_reason) == ("", FinishReason.LENGTH)
    await model.aclose()
