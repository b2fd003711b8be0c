"""A real vLLM that serves the toy's weights: there is nothing to complain of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mumath_agent.doctor import Finding, Status, examine, server
from mumath_agent.doctor.endpoint import Endpoint
from mumath_agent.doctor.survey import server_checks
from mumath_agent.doctor.visit import Visit
from mumath_agent.records import Limits
from tests.toy import TOY
from tests.waiting import HANG_S

pytestmark = [pytest.mark.anyio, pytest.mark.vllm]


async def found(url: str, model: str | None = None) -> dict[str, Finding]:
    async with Endpoint(url) as endpoint:
        visit = Visit(endpoint=endpoint, limits=Limits(max_turns=1), model=model)
        return {finding.name: finding async for finding in examine(server_checks(visit))}


async def test_all_is_well(serve_vllm: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine takes longer than a user should wait.
    monkeypatch.setattr(server, "GONE_WITHIN_S", HANG_S)
    findings = await found(serve_vllm(TOY))
    # There, too, a completion may be over before we are given the time to disconnect.
    bad = [finding for finding in findings.values() if finding.status is not Status.OK]
    assert [finding for finding in bad if "ended before its client disconnected" not in finding.detail] == []
    assert findings["token identity"].detail.endswith("all the same")


async def test_a_wrong_name(serve_vllm: Callable[[Path], str]) -> None:
    findings = await found(serve_vllm(TOY), model="llama")
    assert [name for name, finding in findings.items() if finding.status is Status.FAIL] == ["model name"]
