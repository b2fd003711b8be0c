"""Each planted fault of a server is found, and nothing else."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mumath_agent.doctor import Finding, Status, examine, weights
from mumath_agent.doctor.endpoint import Endpoint
from mumath_agent.doctor.survey import server_checks
from mumath_agent.doctor.visit import Visit
from mumath_agent.models.http.wire import API_KEY
from mumath_agent.records import Limits
from tests.toy import TOY

pytestmark = pytest.mark.anyio

Simulate = Callable[..., str]
CODE_LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 32016,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 16384,
    "rope_theta": 10000.0,
}


async def found(url: str, **wanted: Any) -> dict[str, Finding]:
    """Return what the checks of a server find, by name."""
    async with Endpoint(url, os.environ.get(API_KEY)) as endpoint:
        visit = Visit(endpoint=endpoint, limits=wanted.pop("limits", Limits()), **wanted)
        return {finding.name: finding async for finding in examine(server_checks(visit))}


def faults(findings: dict[str, Finding]) -> dict[str, str]:
    """Return what isn't as it should be; checks that were skipped because of it don't count."""
    return {
        name: finding.status.value
        for name, finding in findings.items()
        if finding.status not in (Status.OK, Status.SKIPPED)
    }


async def test_a_healthy_server_has_no_fault(simulate: Simulate) -> None:
    findings = await found(simulate())
    assert {finding.status for finding in findings.values()} == {Status.OK}
    assert not any(finding.remedy for finding in findings.values())
    assert findings["token identity"].detail.endswith("all the same")


@pytest.mark.parametrize(
    ("planted", "wanted", "expected"),
    [
        ("", {"model": "llama"}, {"model name": "fail"}),
        ("two models", {}, {"model name": "fail"}),
        ("two models", {"model": "other"}, {}),
        ("failing", {}, {"server": "fail"}),
        ("locked", {}, {"server": "fail"}),
        ("babble", {}, {"server": "fail"}),
        ("page", {}, {"server": "fail"}),
        ("chat only", {}, {"endpoint": "fail"}),
        ("chat only", {"dialect": "chat"}, {}),
        ("text only", {"dialect": "chat"}, {"endpoint": "fail"}),
        ("stop", {}, {"stop strings": "fail"}),
        ("stop", {"dialect": "chat"}, {"stop strings": "fail"}),
        ("stop kept", {}, {"stop strings": "warn"}),
        ("says cached", {}, {}),
        ("no cache", {}, {"prefix cache": "warn"}),
        ("no cache,says cached", {}, {"prefix cache": "warn"}),
        ("no metrics", {}, {"prefix cache": "warn", "cancelling": "warn"}),
        ("no metrics,says cached", {}, {"cancelling": "warn"}),
        ("deaf", {}, {"cancelling": "fail"}),
        ("short", {}, {"context": "fail"}),
        ("short", {"limits": Limits(max_new_tokens=256)}, {"context": "warn"}),
        ("reticent", {"files": str(TOY)}, {"context": "warn"}),
        ("other tokenizer", {}, {"token identity": "fail"}),
        ("no tokenize", {}, {}),
        ("no tokenize,other tokenizer", {}, {"token identity": "fail"}),
        ("no tokenize,no usage", {}, {"token identity": "warn", "long prompt": "warn"}),
        ("cuts", {}, {"long prompt": "fail"}),
        ("cuts", {"dialect": "chat"}, {"long prompt": "fail"}),
        ("cuts,no usage,recalls", {}, {"long prompt": "fail"}),
        ("no usage,recalls", {}, {}),
    ],
)
async def test_a_planted_fault_is_found_and_nothing_else(
    simulate: Simulate, planted: str, wanted: dict[str, Any], expected: dict[str, str]
) -> None:
    findings = await found(simulate(*filter(None, planted.split(","))), **wanted)
    assert faults(findings) == expected
    assert all(findings[name].remedy for name in expected if "broke off" not in findings[name].detail)


async def test_nothing_that_builds_on_a_fault_is_tried(simulate: Simulate) -> None:
    findings = await found(simulate("chat only"))
    skipped = {name for name, finding in findings.items() if finding.status is Status.SKIPPED}
    assert skipped == {"stop strings", "prefix cache", "cancelling", "long prompt", "token identity"}
    assert findings["stop strings"].detail == "waits for: endpoint"
    assert findings["endpoint"].remedy == "--dialect chat"


async def test_a_server_that_is_not_there() -> None:
    findings = await found("http://127.0.0.1:9/v1")
    assert faults(findings) == {"server": "fail"}
    assert "connection refused" in findings["server"].detail


async def test_the_key_is_sent_and_never_shown(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, "sk-right")
    assert faults(await found(simulate("locked"))) == {}
    monkeypatch.setenv(API_KEY, "sk-wrong")
    findings = await found(simulate("locked"))
    assert faults(findings) == {"server": "fail"} and "sk-wrong" not in str(findings)


@pytest.mark.parametrize("told_by", ["server", "user"])
async def test_a_wrong_rope_base_is_found(simulate: Simulate, tmp_path: Path, told_by: str) -> None:
    folder = tmp_path / "MuMath-Code-CL-7B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CODE_LLAMA))
    (folder / "tokenizer.json").write_bytes((TOY / "tokenizer.json").read_bytes())
    root, given = (str(folder), None) if told_by == "server" else ("/models/of/another/machine", str(folder))
    findings = await found(simulate(root=root), files=given)
    assert faults(findings) == {"rope base": "fail"}
    assert "10,000 in its config" in findings["rope base"].detail
    (folder / "config.json").write_text(json.dumps(CODE_LLAMA | {"rope_theta": 1e6}))
    assert faults(await found(simulate(root=root), files=given)) == {}


async def test_a_wrong_rope_base_is_found_before_anything_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "ToRA-Code-7B-v1.0"
    folder.mkdir()
    without = {name: value for name, value in CODE_LLAMA.items() if name != "rope_theta"}
    (folder / "config.json").write_text(json.dumps(without))
    found = await weights.rope_base(str(folder))
    assert found.status is Status.FAIL and "--hf-overrides" in (found.remedy or "")
    assert (await weights.rope_base(str(TOY))).status is Status.OK


async def test_files_that_are_elsewhere_are_asked_for(simulate: Simulate) -> None:
    findings = await found(simulate(root="/models/of/another/machine"), dialect="fenced")
    assert faults(findings) == {"rope base": "warn", "token identity": "warn"}
    assert all("--serve-model" in (findings[name].remedy or "") for name in ("rope base", "token identity"))


async def test_a_folder_that_is_named_must_be_there(simulate: Simulate) -> None:
    findings = await found(simulate(), files="/no/such/folder", dialect="fenced")
    assert faults(findings)["rope base"] == "fail"
