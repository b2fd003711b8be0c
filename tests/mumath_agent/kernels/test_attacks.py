"""What hostile code can't do to the machine it runs on, whatever layers of isolation are left.

Attacks run in processes of their own (`attack_runner.py`), once per identity and level, on canaries only. Each ran on a
stock Jupyter kernel first: one that failed there too proves nothing and is skipped, with the reason.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from attack import LAYERS, Attack
from attacks import ATTACKS

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's"),
]

RUNNER = Path(__file__).with_name("attack_runner.py")
NOBODY = 65534
CONTROL = "stock"
LEVELS = {"full": LAYERS} | {f"without_{layer}": LAYERS - {layer} for layer in sorted(LAYERS)}
RUN_TIMEOUT_S = 100
NO_SUCH_LEVEL = "no kernel can be had at level"
"""How a machine is told that lacks one of the layers."""
TESTED_ELSEWHERE = {53, 63, 64, 65, 66, 67}
"""Rows of the list: misbehaving cells, and what the client, the transcript and the grader do."""


class Outcome(NamedTuple):
    outcome: str
    detail: str


Results = dict[str, Outcome] | str
"""By attack; or why there are none."""


@cache
def results(identity: str, level: str) -> Results:
    """Run all attacks, once."""
    layers = ["--stock"] if level == CONTROL else ["--layers", ",".join(sorted(LEVELS[level]))]
    command = [sys.executable, str(RUNNER), "--uid", str(_uid(identity)), *layers]
    # To files, not pipes: a kernel that outlives the runner would keep those open.
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        runner = subprocess.Popen(command, stdout=stdout, stderr=stderr, start_new_session=True)
        try:
            failed = runner.wait(RUN_TIMEOUT_S) != 0
        except subprocess.TimeoutExpired:
            os.killpg(runner.pid, signal.SIGKILL)
            runner.wait()
            return f"the attacks took longer than {RUN_TIMEOUT_S} s"
        stdout.seek(0)
        stderr.seek(0)
        if failed:
            return f"the attacks could not be run: {stderr.read()[-3000:]}"
        found = [json.loads(line) for line in stdout]
    return {line["name"]: Outcome(line["outcome"], line["detail"]) for line in found}


@cache
def obstacle(identity: str) -> str:
    """Why attacks can't be run as this user; empty if they can."""
    if identity == "root":
        return "" if os.getuid() == 0 else "the tests don't run as root"
    trial = [sys.executable, str(RUNNER), "--trial", "--uid", str(_uid(identity))]
    done = subprocess.run(trial, capture_output=True, text=True, timeout=60)
    last = done.stderr.strip().rsplit("\n", 1)[-1]
    return f"user {_uid(identity)} can't run this Python: {last}" if done.returncode else ""


def _uid(identity: str) -> int:
    return 0 if identity == "root" else os.getuid() or NOBODY


@pytest.fixture(scope="module")
def outcome_of() -> Callable[[str, str, Attack], Outcome]:
    """A function that looks up what came of an attack."""

    def look_up(identity: str, level: str, attack: Attack) -> Outcome:
        if reason := obstacle(identity):
            pytest.skip(reason)
        found = results(identity, level)
        if isinstance(found, str):
            if NO_SUCH_LEVEL in found:
                pytest.skip(found.strip().rsplit("\n", 1)[-1])
            pytest.fail(found)
        return found[attack.name]

    return look_up


@pytest.mark.parametrize("attack", [a for a in ATTACKS if not a.by_design], ids=lambda attack: attack.name)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("identity", ["root", "user"])
def test_an_attack_is_held(
    identity: str, level: str, attack: Attack, outcome_of: Callable[[str, str, Attack], Outcome]
) -> None:
    control = outcome_of(identity, CONTROL, attack)
    if attack.needs_control and control.outcome != "breach":
        pytest.skip(f"proves nothing, a stock kernel holds it too: {control.detail}")
    missing = LAYERS - LEVELS[level]
    if missing & attack.leaks_without:
        pytest.skip(f"known to get through without {', '.join(missing)}")
    outcome = outcome_of(identity, level, attack)
    assert outcome.outcome == "held", outcome.detail


@pytest.mark.parametrize("identity", ["root", "user"])
def test_most_attacks_succeed_on_a_stock_kernel(
    identity: str, outcome_of: Callable[[str, str, Attack], Outcome]
) -> None:
    outcomes = [outcome_of(identity, CONTROL, attack) for attack in ATTACKS if attack.needs_control]
    assert [outcome for outcome in outcomes if outcome.outcome == "error"] == []
    assert sum(outcome.outcome == "breach" for outcome in outcomes) >= 0.8 * len(outcomes)


def test_every_planned_kind_is_an_attack() -> None:
    assert {attack.row for attack in ATTACKS} | TESTED_ELSEWHERE == set(range(1, 68))
