"""Check that hostile code can't harm the machine it runs on, whatever layer of isolation is missing.

Attacks run in processes of their own (`attack_runner.py`), one for each user and level, on canaries only. By day every
attack runs at level full, as root where we are root, and every other one as an ordinary user, too. At the levels that
lack one layer the default run makes a share of the attacks, so that each is made at one of them, and the users take
turns. The full product, and the control that most attacks succeed on a stock Jupyter kernel, are slow tests; by day
there is the control for one attack of each kind.
Attacks that are known to get through without a layer are left out where it is missing.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from itertools import cycle
from pathlib import Path

import pytest
from attack import LAYERS, Attack
from attacks import ATTACKS

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's"),
]

RUNNER = Path(__file__).with_name("attack_runner.py")
NOBODY = 65534
LEVELS = {"full": LAYERS} | {f"without_{layer}": LAYERS - {layer} for layer in sorted(LAYERS)}
WEAKER = [level for level in LEVELS if level != "full"]
USERS = ["root", "user"] if os.getuid() == 0 else ["user"]
ROUNDS = [(user, "full") for user in USERS] + list(zip(cycle(USERS), WEAKER, strict=False))[1:3]
"""The users and levels of the default run; at night it is every user at every level."""
RUN_TIMEOUT_S = 600
"""Only a run that hangs takes as long."""
NO_SUCH_LEVEL = "no kernel can be had at level"
"""The error on a machine that lacks one of the layers."""
ONE_OF_EACH_KIND = [
    "tcp_connect",
    "other_kernels_socket",
    "read_secret",
    "append_to_bashrc",
    "kill_victim",
    "new_privileges_possible",
    "big_file",
    "patched_math",
]
TESTED_ELSEWHERE = {53, 63, 64, 65, 66, 67}
"""Rows of the list: misbehaving cells, and what the client, the transcript and the grader do."""


def held_at(level: str) -> list[Attack]:
    """Return the attacks that must be held at a level."""
    missing = LAYERS - LEVELS[level]
    return [attack for attack in ATTACKS if not (attack.by_design or missing & attack.leaks_without)]


def shared_out(user: str, level: str) -> list[Attack]:
    """Return those of them that the default run makes: all at level full as one user, every so many otherwise."""
    held = held_at(level)
    if level == "full":
        return held if user == USERS[0] else held[::2]
    return held[WEAKER.index(level) :: len(WEAKER)]


def outcomes(user: str, attacks: Sequence[Attack], *options: str) -> dict[str, dict[str, str]]:
    """Run attacks; return the outcome and its detail by the attack's name. Skip where this machine can't run them."""
    if reason := obstacle(user):
        pytest.skip(reason)
    names = ",".join(attack.name for attack in attacks)
    command = [sys.executable, str(RUNNER), "--uid", str(_uid(user)), "--only", names, *options]
    # To files, not pipes: a kernel that outlives the runner would keep those open.
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        runner = subprocess.Popen(command, stdout=stdout, stderr=stderr, start_new_session=True)
        try:
            failed = runner.wait(RUN_TIMEOUT_S) != 0
        except subprocess.TimeoutExpired:
            os.killpg(runner.pid, signal.SIGKILL)
            runner.wait()
            pytest.fail(f"the attacks did not end within {RUN_TIMEOUT_S} s")
        stdout.seek(0)
        stderr.seek(0)
        said = stderr.read()
        if failed and NO_SUCH_LEVEL in said:
            pytest.skip(said.strip().rsplit("\n", 1)[-1])
        assert not failed, f"the attacks could not be run: {said[-3000:]}"
        found = {line["name"]: line for line in map(json.loads, stdout)}
    assert found.keys() == {attack.name for attack in attacks}
    return found


@cache
def obstacle(user: str) -> str:
    """Return why attacks can't be run as this user; empty if they can."""
    if user == "root":
        return ""
    trial = [sys.executable, str(RUNNER), "--trial", "--uid", str(_uid(user))]
    done = subprocess.run(trial, capture_output=True, text=True)
    last = done.stderr.strip().rsplit("\n", 1)[-1]
    return f"user {_uid(user)} can't run this Python: {last}" if done.returncode else ""


def _uid(user: str) -> int:
    return 0 if user == "root" else os.getuid() or NOBODY


def assert_held(user: str, level: str, attacks: Sequence[Attack]) -> None:
    found = outcomes(user, attacks, "--layers", ",".join(sorted(LEVELS[level])))
    assert {name: line for name, line in found.items() if line["outcome"] != "held"} == {}


@pytest.mark.parametrize(("user", "level"), ROUNDS)
def test_attacks_are_held(user: str, level: str) -> None:
    assert_held(user, level, shared_out(user, level))


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("user", USERS)
def test_every_attack_is_held_as_every_user_whatever_layer_is_missing(user: str, level: str) -> None:
    assert_held(user, level, held_at(level))


def test_an_attack_of_each_kind_succeeds_on_a_stock_kernel() -> None:
    attacks = [attack for attack in ATTACKS if attack.name in ONE_OF_EACH_KIND]
    assert {attack.kind for attack in attacks} == {attack.kind for attack in ATTACKS}
    found = outcomes("user", attacks, "--stock")
    assert {name: line for name, line in found.items() if line["outcome"] != "breach"} == {}


@pytest.mark.slow
@pytest.mark.network  # some of them try to reach addresses that nobody has
@pytest.mark.parametrize("user", USERS)
def test_most_attacks_succeed_on_a_stock_kernel(user: str) -> None:
    """An attack that a stock kernel holds, too, proves nothing about ours."""
    found = outcomes(user, [attack for attack in ATTACKS if attack.needs_control], "--stock")
    failed = {name: line["detail"] for name, line in found.items() if line["outcome"] != "breach"}
    print(f"{user} has no success on a stock kernel with {failed}")
    assert [line for line in found.values() if line["outcome"] == "error"] == []
    assert len(failed) <= 0.2 * len(found)


def test_every_planned_kind_is_an_attack() -> None:
    assert {attack.row for attack in ATTACKS} | TESTED_ELSEWHERE == set(range(1, 68))
