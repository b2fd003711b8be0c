"""Engines are compared token by token: equal ones pass, any other is named with the place where it parts."""

import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime_genai")

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer import Exit

from finetune.commands.exporting import verify
from finetune.release.engines import Reference, Written, embedded, served
from finetune.release.export import export
from finetune.release.verify import Difference, End, compare, ended, prompts
from mumath_agent.dialects import Fenced
from mumath_agent.errors import InputError, ModelRefused, ModelUnreachable
from mumath_agent.serving import serving
from tests.toy import TOY

pytestmark = pytest.mark.train

STOP = Fenced().stop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """Export a model with random weights."""
    made = tmp_path_factory.mktemp("verify")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(made / "model")
    tokenizer.save_pretrained(made / "model")
    assert export(made / "model", made / "out") is None
    return made / "out"


@pytest.fixture(scope="module")
def altered(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the folder and change what transformers reads, so that it contradicts the embedded engine's graph."""
    other = tmp_path_factory.mktemp("altered") / "out"
    shutil.copytree(folder, other)
    config = json.loads((other / "config.json").read_text("utf-8"))
    config["rope_parameters"]["rope_theta"] = 10.0
    (other / "config.json").write_text(json.dumps(config), "utf-8")
    return other


def test_the_engines_agree(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify(folder, max_tokens=32)
    told = capsys.readouterr()
    assert told.out.count(" equal ") >= len(prompts(Fenced()))
    assert "skipped: vLLM" in told.err


def test_a_difference_is_found_and_placed(altered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as ended_with:
        verify(altered, max_tokens=32, as_json=True)
    assert ended_with.value.exit_code == 1
    found = [row["differences"]["embedded engine"] for row in json.loads(capsys.readouterr().out)]
    assert any(found)
    reference = Reference(altered, max_tokens=32)
    engine = embedded(altered, reference)
    assert engine is not None
    for text, difference in zip(prompts(Fenced()), found, strict=True):
        ours, theirs = reference.write(text).ids, engine(text).ids
        if difference is not None:
            position = difference["position"]
            assert ours[:position] == theirs[:position] and ours[position] != theirs[position]
            assert difference["logit_gap"] >= 0


def test_other_ids_of_a_prompt_are_a_difference_too(folder: Path) -> None:
    reference = Reference(folder, max_tokens=4)

    def with_a_begin_token(prompt: str) -> Written:
        written = reference.write(prompt)
        return Written(prompt=(0, *written.prompt), ids=written.ids)

    found = compare("a b", reference, {"engine": with_a_begin_token}, stop=STOP).differences["engine"]
    assert isinstance(found, Difference) and (found.in_prompt, found.position) == (True, 0)


def test_one_of_the_own_prompts_is_about_to_stop() -> None:
    """With a model that knows the format."""
    reference = Reference(TOY)
    ends = [compare(text, reference, {}, stop=STOP).end for text in prompts(Fenced())]
    assert ends[-2] is End.STOP and ends[-1] is End.END_TOKEN
    assert len(reference.write(prompts(Fenced())[-2]).ids) > 1  # transformers goes on past it


@given(ids=st.lists(st.integers(2, 399)), position=st.integers(0, 50))
def test_a_continuation_ends_with_its_first_end(
    tokenizer: PreTrainedTokenizerFast, ids: list[int], position: int
) -> None:
    end, header = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("```output")
    assert isinstance(header, int)
    plain = [token for token in ids if token != end and "`" not in str(tokenizer.decode([token]))]
    before, after = plain[:position], plain[position:]
    assert ended(plain, tokenizer, STOP) == (tuple(plain), End.LENGTH)
    assert ended([*before, end, *after], tokenizer, STOP) == ((*before, end), End.END_TOKEN)
    assert ended([*before, header, *after, end], tokenizer, STOP) == ((*before, header), End.STOP)


def test_alone_transformers_proves_nothing(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "out", ignore=shutil.ignore_patterns("model.onnx"))
    with pytest.raises(InputError, match="nothing to compare"):
        verify(tmp_path / "out", max_tokens=8)


def test_a_file_without_questions_proves_nothing_either(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n", "utf-8")
    with pytest.raises(InputError, match="holds no problem"):
        verify(folder, prompts=tmp_path / "empty.jsonl")


def test_a_prompt_without_room_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="leaves no room"):
        Reference(folder).write("9 " * 300)


@pytest.fixture
def stub() -> Iterator[str]:
    """Start a completions server that gives text only."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self._answer({"data": [{"id": "m"}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer({"choices": [{"text": "4"}]})

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_without_token_ids_is_refused(folder: Path, stub: str) -> None:
    with pytest.raises(ModelRefused, match="no token ids"):
        served(stub, Reference(folder), stop=STOP)("1")


def test_a_server_that_is_not_there_is_said_so(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ModelUnreachable, match="is the server up"):
        served(f"http://127.0.0.1:{port}", Reference(folder), stop=STOP)


@pytest.mark.parametrize(
    ("python", "error", "said"),
    [
        (Path("/nowhere/python"), InputError, "give the python that has vLLM"),
        (Path(sys.executable), ModelUnreachable, "No module named 'vllm'"),
    ],
)
def test_a_vllm_that_cannot_be_started_is_said_so(
    folder: Path, tmp_path: Path, python: Path, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said), serving(folder, python=python, log=tmp_path / "vllm.log"):
        pytest.fail("served without vLLM")


@pytest.mark.vllm
def test_vllm_agrees_too(serve_vllm: Callable[[Path], str], capsys: pytest.CaptureFixture[str]) -> None:
    verify(TOY, base_url=serve_vllm(TOY))
    assert "6 of 6 prompts equal" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.vllm
def test_vllm_agrees_about_random_weights(
    folder: Path, serve_vllm: Callable[[Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    verify(folder, base_url=serve_vllm(folder))
    assert "6 of 6 prompts equal" in capsys.readouterr().out
