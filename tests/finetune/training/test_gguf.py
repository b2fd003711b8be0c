"""A GGUF file as a start: the folder made of it tokenises and continues as llama.cpp does with the file itself."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf", reason="the package gguf is in the extra `finetune`")

import numpy as np
import torch
from gguf import GGUFReader, GGUFWriter
from gguf.quants import dequantize
from transformers import AutoModelForCausalLM

from finetune.training.gguf import gguf_folder
from finetune.training.tokenizer import load_tokenizer
from finetune.training.weights import find_start
from mumath_agent.errors import InputError
from mumath_agent.models.local import engine
from tests.mumath_agent.models.local.tiny import write_tiny
from tests.programs import call

pytestmark = pytest.mark.train

REAL = Path.home() / ".cache" / "mumath-models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
TEXTS = (
    "Tom has 14 apples and gets 125 more. How many apples does Tom have?",
    "<|user|>\nWhat is 17 * 23?\n<|assistant|>\nMultiply.\n```python\nprint(17 * 23)\n```\n```output\n391\n```\n",
    "Each ticket costs $7.50; we'll buy 4.  How much\n\n\tdo   they cost?",
    "ünïcödé, 3/4 & \\sqrt{2}, 日本 -- and\r\nnow? it's",
)


@pytest.fixture(autouse=True)
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Leave the hub's folder of assets alone, except for the real file, whose folder is large."""
    if "real" not in request.node.name:
        monkeypatch.setattr("huggingface_hub.utils._cache_assets.HF_ASSETS_CACHE", tmp_path / "assets")


@contextmanager
def llama_cpp(file: Path) -> Iterator[httpx.Client]:
    """Serve the file with llama.cpp, one thread."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is in the extra `local`")
    settings = {"path": str(file), "name": "test", "slots": 1, "context_tokens": 512, "threads": 1}
    settings |= {"host": "127.0.0.1", "port": 0, "folder": ""}
    environment = os.environ | {engine.KEY: "key", engine.LAUNCHER: str(os.getpid())}
    command = [sys.executable, engine.__file__, json.dumps(settings)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        try:
            assert running.stdout is not None
            line = next(line for line in running.stdout if line.startswith(engine.SERVING))
            address = line.removeprefix(engine.SERVING).strip()
            with httpx.Client(
                base_url=address, headers={"Authorization": "Bearer key"}, timeout=None
            ) as client:
                yield client
        finally:
            running.kill()


def ask(server: httpx.Client, where: str, **body: object) -> Any:
    return server.post(where, json=body).raise_for_status().json()


def agrees(file: Path, texts: Sequence[str]) -> None:
    """Check that llama.cpp and the folder made of the file see the same ids, and want the same token next."""
    folder = find_start(str(file))
    tokenizer = load_tokenizer(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with llama_cpp(file) as server:
        for text in texts:
            ids = tokenizer(text)["input_ids"]
            assert (
                ids == ask(server, "/tokenize", content=text, add_special=True, parse_special=True)["tokens"]
            )
            written = ask(server, "/completion", prompt=ids, n_predict=1, temperature=0, return_tokens=True)
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, -1]
            assert int(logits.argmax()) in written["tokens"], text


def test_a_tiny_file_becomes_a_folder(tmp_path: Path) -> None:
    file = write_tiny(tmp_path / "tiny.gguf")
    folder = gguf_folder(file)
    assert gguf_folder(file) == folder
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    given = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in GGUFReader(file).tensors}
    assert np.array_equal(model.get_input_embeddings().weight.detach().numpy(), given["token_embd.weight"])
    assert not model.config.tie_word_embeddings
    tokenizer = load_tokenizer(folder)
    for text in TEXTS:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert (tokenizer.eos_token, len(tokenizer("<|user|>")["input_ids"])) == ("<|end|>", 1)


def test_a_tiny_file_is_continued_as_llama_cpp_continues_it(tmp_path: Path) -> None:
    agrees(write_tiny(tmp_path / "tiny.gguf"), TEXTS)


@pytest.mark.skipif(not REAL.is_file(), reason=f"no {REAL}: put SmolLM2-135M-Instruct there to test with it")
def test_a_real_file_is_continued_as_llama_cpp_continues_it() -> None:
    agrees(REAL, TEXTS)


def test_training_starts_from_a_file(tmp_path: Path, corpus: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "g"\nsteps = 2\nbatch_tokens = 1024\nmax_tokens = 512\npacking = true\nthreads = 1\neval_rows = 4\n'
        '[optimizer]\nkind = "adamw"\nrate = 1e-4\n'
    )
    file, out = write_tiny(tmp_path / "tiny.gguf"), tmp_path / "out"
    done = call("finetune", "train", recipe, "--data", corpus / "stage1.jsonl", "--start", file, "--out", out)
    assert done.code == 0, done.stderr
    assert (out / "model.safetensors").is_file()


def _writer(path: Path, architecture: str = "llama", **values: str) -> Path:
    writer = GGUFWriter(str(path), architecture)
    for name, value in values.items():
        writer.add_string(name.replace("__", "."), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_cannot_be_a_start_is_one_clear_line(tmp_path: Path) -> None:
    text, torn = tmp_path / "text.gguf", tmp_path / "torn.gguf"
    text.write_text("not a model")
    torn.write_bytes(write_tiny(tmp_path / "tiny.gguf").read_bytes()[:2000])
    rows = (
        (text, "isn't a GGUF file that can be used"),
        (torn, "isn't a GGUF file that can be used"),
        (_writer(tmp_path / "bert.gguf", "bert"), "holds a bert model; from GGUF, llama or qwen2"),
        (_writer(tmp_path / "empty.gguf"), "doesn't say its attention.head_count"),
        (write_tiny(tmp_path / "hollow.gguf", weights=False), "has no token_embd.weight"),
        (tmp_path / "none.gguf", "there is no"),
        (tmp_path / "none", "there is no"),
    )
    for start, message in rows:
        with pytest.raises(InputError, match=message) as found:
            find_start(str(start))
        assert "\n" not in str(found.value)


def test_a_name_that_is_not_at_hand_offline_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match="someone/nothing isn't a folder or GGUF file, and the hub didn't give it"
    ):
        find_start("someone/nothing")
