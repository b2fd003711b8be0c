"""One options and one machine make one command, which the checks let pass or refuse."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mumath_agent.errors import InputError
from mumath_agent.serving import Gpu, ServeOptions, ServerCommand, build_command, visible_gpus, vllm_python
from tests.mumath_agent.serving.test_checks import CODELLAMA_34B, LLAMA_7B, LLAMA_13B, LLAMA_70B, LONG
from tests.programs import mumath_agent
from tests.toy import TOY

PYTHON = Path("/vllm/bin/python")


def gpus(count: int, gib: int) -> tuple[Gpu, ...]:
    return tuple(Gpu(uuid=f"GPU-{n}", memory_bytes=gib << 30, has_bfloat16=True) for n in range(count))


def folder(path: Path, config: dict[str, Any]) -> str:
    (path / "config.json").write_text(json.dumps(config), "utf-8")
    return str(path)


def value(command: ServerCommand, flag: str) -> str | None:
    """Return what follows the flag's last appearance, as vLLM reads it."""
    found = [
        following for given, following in zip(command.argv, command.argv[1:], strict=False) if given == flag
    ]
    return found[-1] if found else None


@pytest.mark.parametrize(
    ("config", "machine", "tensor", "data"),
    [
        (LLAMA_7B, gpus(1, 24), None, None),
        (LLAMA_7B, gpus(4, 24), None, "4"),
        (LLAMA_13B, gpus(1, 40), None, None),
        (LLAMA_13B, gpus(2, 24), "2", None),
        (LLAMA_13B, gpus(8, 24), "2", "4"),
        (CODELLAMA_34B, gpus(1, 80), None, None),
        (CODELLAMA_34B, gpus(2, 80), "2", None),
        (LLAMA_70B, gpus(2, 141), "2", None),
        (LLAMA_70B, gpus(2, 80), "2", None),
        (LLAMA_70B, gpus(4, 80), "4", None),
        (LLAMA_70B, gpus(8, 80), "4", "2"),
        (LLAMA_7B, (*gpus(1, 80), *gpus(1, 24)), None, "2"),
    ],
)
def test_gpus_are_shared_out(
    tmp_path: Path, config: dict[str, Any], machine: tuple[Gpu, ...], tensor: str | None, data: str | None
) -> None:
    command = build_command(ServeOptions(model=folder(tmp_path, config)), PYTHON, machine)
    assert (value(command, "--tensor-parallel-size"), value(command, "--data-parallel-size")) == (
        tensor,
        data,
    )
    assert value(command, "--dtype") == "bfloat16" and "--enforce-eager" not in command.argv


@pytest.mark.parametrize(
    ("config", "machine", "options", "why"),
    [
        (LLAMA_70B, gpus(1, 24), {}, r"GPU memory: 129\.7 GiB .* Remedy: at least 7"),
        (LLAMA_7B, gpus(8, 80), {"tensor_parallel": 3}, "32 heads can't be divided evenly among 3"),
        (LLAMA_7B, gpus(1, 80), {"context_tokens": 8192}, "the model knows only 4096 positions"),
        (LONG, (), {}, "rope base"),
    ],
)
def test_what_would_go_wrong_is_refused(
    tmp_path: Path, config: dict[str, Any], machine: tuple[Gpu, ...], options: dict[str, Any], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        build_command(ServeOptions(model=folder(tmp_path, config), **options), PYTHON, machine)


def test_a_person_has_the_last_word(tmp_path: Path) -> None:
    options = ServeOptions(
        model=folder(tmp_path, CODELLAMA_34B),
        name="mine",
        host="::",
        port=1,
        dtype="float16",
        tensor_parallel=8,
        data_parallel=3,
        context_tokens=12000,
        flags=("--generation-config", "auto"),
    )
    command = build_command(options, PYTHON, gpus(8, 80))
    wanted = {"--served-model-name": "mine", "--host": "::", "--port": "1", "--dtype": "float16"}
    wanted |= {"--tensor-parallel-size": "8", "--data-parallel-size": "3", "--max-model-len": "12000"}
    assert {flag: value(command, flag) for flag in wanted} == wanted
    assert value(command, "--generation-config") == "auto"
    assert command.url == "http://[::1]:1"


@pytest.mark.parametrize(
    ("config", "context"),
    [(LLAMA_7B, "4096"), (CODELLAMA_34B, "8192"), (LLAMA_7B | {"max_position_embeddings": 512}, "512")],
)
def test_context_of_a_model_of_no_known_family(tmp_path: Path, config: dict[str, Any], context: str) -> None:
    command = build_command(ServeOptions(model=folder(tmp_path, config)), PYTHON, gpus(1, 80))
    assert value(command, "--max-model-len") == context


@pytest.mark.parametrize(
    ("name", "config", "tools", "thoughts"),
    [
        ("Qwen2.5-Coder-0.5B-Instruct", {}, "hermes", None),
        ("Qwen3-8B", {}, "hermes", "qwen3"),
        ("Qwen3-30B-A3B-Instruct-2507", {}, "hermes", None),
        ("Qwen3-30B-A3B-Thinking-2507", {}, "hermes", "deepseek_r1"),
        ("Qwen3-Coder-30B-A3B-Instruct", {}, "qwen3_coder", None),
        ("gpt-oss-20b", {}, "openai", "openai_gptoss"),
        ("DeepSeek-R1-Distill-Qwen-7B", {}, None, "deepseek_r1"),
        ("Llama-3.1-8B-Instruct", {}, "llama3_json", None),
        ("Mistral-7B-Instruct-v0.3", {}, "mistral", None),
        ("Mistral-7B-Instruct-v0.1", {}, None, None),
        ("SmolLM2-135M-Instruct", {}, "hermes", None),
        ("mine", {"model_type": "qwen2"}, "hermes", None),
        ("mine", {"vocab_size": 128_256}, "llama3_json", None),
        ("mine", {"mumath_dialect": "fenced", "model_type": "qwen2"}, None, None),
        ("mine", {}, None, None),
        ("MuMath-Code-L-7B", {}, None, None),
        ("Qwen2.5-Math-7B-Instruct", {}, None, None),
    ],
)
def test_a_chat_model_is_served_with_the_parsers_of_its_family(
    tmp_path: Path, name: str, config: dict[str, Any], tools: str | None, thoughts: str | None
) -> None:
    path = tmp_path / name
    path.mkdir()
    command = build_command(ServeOptions(model=folder(path, LLAMA_7B | config)), PYTHON, gpus(1, 80))
    assert (value(command, "--tool-call-parser"), value(command, "--reasoning-parser")) == (tools, thoughts)
    assert ("--enable-auto-tool-choice" in command.argv) == (tools is not None)


def test_the_context_of_a_family_is_what_it_was_tuned_for(tmp_path: Path) -> None:
    path = tmp_path / "MuMath-Code-CL-34B"
    path.mkdir()
    command = build_command(ServeOptions(model=folder(path, CODELLAMA_34B)), PYTHON, gpus(1, 80))
    assert value(command, "--max-model-len") == "4096"
    assert value(command, "--served-model-name") == "MuMath-Code-CL-34B"


def test_a_model_whose_config_cannot_be_had_is_served_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    command = build_command(ServeOptions(model="nobody/MuMath-Code-CL-7B"), PYTHON, gpus(1, 24))
    assert "the model isn't checked" in command.findings[0].detail
    assert value(command, "--max-model-len") == "4096" and "HF_HUB_OFFLINE" not in command.environment


def test_a_model_in_the_hubs_cache_is_checked_like_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model, commit = tmp_path / "models--weihao1--MuMath-Code-CL-7B", "c" * 40
    snapshot = model / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit, "utf-8")
    folder(snapshot, LONG)
    with pytest.raises(InputError, match="such models were trained with 1,000,000"):
        build_command(ServeOptions(model="weihao1/MuMath-Code-CL-7B"), PYTHON, gpus(1, 24))


def test_adapters(tmp_path: Path) -> None:
    for name, rank in (("a", 4), ("b", 20)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(json.dumps({"r": rank}), "utf-8")
    loras = {name: tmp_path / name for name in ("a", "b")}
    command = build_command(ServeOptions(model=str(TOY), loras=loras), PYTHON, ())
    assert value(command, "--max-lora-rank") == "32" and value(command, "--max-loras") == "2"
    at = command.argv.index("--lora-modules")
    assert command.argv[at + 1 : at + 3] == (f"a={tmp_path / 'a'}", f"b={tmp_path / 'b'}")
    with pytest.raises(InputError, match=r"can't read .*adapter_config\.json"):
        build_command(ServeOptions(model=str(TOY), loras={"c": tmp_path}), PYTHON, ())


def test_a_key_is_neither_a_flag_nor_shown() -> None:
    command = build_command(ServeOptions(model=str(TOY), api_key="sk-secret"), PYTHON, ())
    assert command.environment["VLLM_API_KEY"] == "sk-secret"
    assert "sk-secret" not in str(command) and "VLLM_API_KEY=***" in str(command)


@pytest.mark.parametrize("model", ["/nowhere/x", "./x", "~/nothing/here", "a/b/c"])
def test_a_folder_that_is_not_there(model: str) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        build_command(ServeOptions(model=model), PYTHON, ())


@pytest.mark.parametrize(("text", "why"), [("{", "isn't JSON"), ("[]", "doesn't hold a JSON object")])
def test_a_config_that_is_none(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "config.json").write_text(text, "utf-8")
    with pytest.raises(InputError, match=why):
        build_command(ServeOptions(model=str(tmp_path)), PYTHON, ())


NVIDIA_SMI = """#!/bin/sh
echo "GPU-aa11, 81559, 9.0"
echo "GPU-bb22, 24576, 7.5"
echo "GPU-cc33, [N/A], 12.1"
"""


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (None, ["GPU-aa11", "GPU-bb22", "GPU-cc33"]),
        ("", []),
        ("-1", []),
        ("1", ["GPU-bb22"]),
        ("2,0", ["GPU-cc33", "GPU-aa11"]),
        ("GPU-bb", ["GPU-bb22"]),
        ("0,9,1", ["GPU-aa11"]),
        ("MIG-1234", ["MIG-1234"]),
    ],
)
def test_visible_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selection: str | None, found: list[str]
) -> None:
    (tmp_path / "nvidia-smi").write_text(NVIDIA_SMI, "utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if selection is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", selection)
    seen = visible_gpus()
    assert [gpu.uuid for gpu in seen] == found
    memory = {"GPU-aa11": 81559 << 20, "GPU-bb22": 24576 << 20}
    assert all(
        (gpu.memory_bytes, gpu.has_bfloat16) == (memory.get(gpu.uuid), gpu.uuid != "GPU-bb22") for gpu in seen
    )


def test_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ()
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho no devices were found; exit 6\n", "utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert visible_gpus() == ()


@pytest.mark.parametrize(
    ("name", "why"),
    [("nope", "there is no such file"), ("", "it is a folder"), ("text", "it isn't a program")],
)
@pytest.mark.parametrize("command", [["serve"], ["solve", "q", "--serve"]])
def test_a_python_that_can_not_be_run_is_said_before_anything_else(
    tmp_path: Path, name: str, why: str, command: list[str]
) -> None:
    """The model isn't even looked for on the hub, which would take half a minute where there is no network."""
    (tmp_path / "text").write_text("x")
    ended = mumath_agent(*command, "no/such-model", "--vllm-python", str(tmp_path / name))
    assert ended.code == 2 and len(ended.stderr.splitlines()) == 1
    assert f"can't run {tmp_path / name}: {why}; give the python that has vLLM" in ended.stderr


def test_where_vllm_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(sys.executable)
    assert vllm_python(here) == here
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="MUMATH_VLLM_PYTHON"):
        vllm_python(None)
    for name in ("vllm", "python"):
        (tmp_path / name).write_text(f"#!{sys.executable}\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    assert vllm_python(None) == tmp_path / "python"
