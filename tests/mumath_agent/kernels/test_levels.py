"""Check levels of isolation: their names, which of them are refused, and that each is reached here."""

import sys
from collections.abc import Sequence

import pytest
from outside import run

from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.kernels.isolation import layers_of, level_name, meets_floor, refusal
from mumath_agent.records import ExecutionStatus
from mumath_agent.sandbox.spec import LAYERS

CONFINING = ["full", "landlock+seccomp", "namespaces+seccomp"]
OTHERS = ["rlimits-only", "none", "seccomp", "landlock", "namespaces", "namespaces+landlock"]
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")


@pytest.mark.parametrize("level", CONFINING + OTHERS)
def test_a_level_and_its_layers_are_two_names_for_one_thing(level: str) -> None:
    assert level_name(layers_of(level)) == level
    assert layers_of(level) <= set(LAYERS)


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        (LAYERS, "full"),
        ((), "none"),
        (("rlimits",), "rlimits-only"),
        (("landlock", "seccomp"), "landlock+seccomp without rlimits"),
        (("seccomp", "landlock", "namespaces"), "namespaces+landlock+seccomp without rlimits"),
    ],
)
def test_a_set_of_layers_is_named_by_what_it_holds(layers: Sequence[str], name: str) -> None:
    assert level_name(frozenset(layers)) == name


@pytest.mark.parametrize(
    "level", ["", "Full", "docker", "landlock+docker", "landlock,seccomp", "+", "full+none"]
)
def test_a_level_that_does_not_exist_is_refused_and_those_that_do_are_named(level: str) -> None:
    with pytest.raises(InputError, match=r"^no level of isolation is called .*; there are full, ") as raised:
        layers_of(level)
    assert repr(level) in str(raised.value)
    assert all(name in str(raised.value) for name in (*CONFINING, "rlimits-only", "none"))


@pytest.mark.parametrize("level", CONFINING)
def test_a_level_that_confines_needs_no_permission(level: str) -> None:
    assert meets_floor(layers_of(level))
    assert Sandbox(layers=layers_of(level)).layers == layers_of(level)


@pytest.mark.parametrize("level", OTHERS)
def test_a_level_that_does_not_confine_is_refused_unless_one_insists(level: str) -> None:
    assert not meets_floor(layers_of(level))
    with pytest.raises(
        InputError,
        match=f"^level '{level}' does not confine programs; --unsafe-local allows it$".replace("+", r"\+"),
    ):
        Sandbox(layers=layers_of(level))
    assert Sandbox(layers=layers_of(level), unsafe_local=True).layers == layers_of(level)


def test_a_layer_that_does_not_exist_is_refused_in_any_case() -> None:
    with pytest.raises(InputError, match=r"no layer of isolation is called 'docker'; there are .*seccomp"):
        Sandbox(layers=frozenset({"seccomp", "landlock", "docker"}), unsafe_local=True)


@pytest.mark.parametrize(
    ("missing", "harms", "remedy"),
    [
        ({"seccomp": "Permission denied"}, ["use the network and start processes"], "x86_64 or aarch64"),
        (
            {"namespaces": "not permitted", "landlock": "not implemented"},
            ["see which files and processes exist", "read and write every file you can"],
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_a_refusal_says_what_is_missing_what_it_is_good_for_and_what_helps(
    missing: dict[str, str], harms: list[str], remedy: str
) -> None:
    text = refusal(missing)
    assert all(f"{layer} ({reason})" in text for layer, reason in missing.items())
    assert all(harm in text for harm in harms)
    assert remedy in text
    assert "--unsafe-local" in text
    assert "\n" not in text


@ON_LINUX
@pytest.mark.kernel
@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:model-written programs run at:UserWarning")
@pytest.mark.parametrize("level", CONFINING + OTHERS)
async def test_every_level_is_reached_here(level: str) -> None:
    async with JupyterExecutor(Sandbox(layers=layers_of(level), unsafe_local=True, preload=())) as executor:
        assert executor.isolation == level  # known before anything runs
        execution = await run(executor, "import os\nopen('f', 'w').write('abc'), os.listdir()")
        assert (execution.result, execution.error) == ("(3, ['f'])", None)
        assert executor.isolation == level


@ON_LINUX
@pytest.mark.kernel
@pytest.mark.anyio
async def test_the_best_level_is_taken_without_being_asked_for() -> None:
    async with JupyterExecutor() as executor:
        assert (await run(executor, "1 + 1")).result == "2"
        assert executor.isolation == "full"
    async with JupyterExecutor(lazy=True) as idle:
        assert idle.isolation == "full"  # what its kernels would have


@pytest.mark.kernel
@pytest.mark.anyio
async def test_whoever_insists_on_a_level_that_does_not_confine_is_warned_in_one_line() -> None:
    sandbox = Sandbox(layers=frozenset({"rlimits"}), unsafe_local=True, preload=("cgitb",))
    with pytest.warns(
        UserWarning, match="^model-written programs run at isolation level 'rlimits-only'"
    ) as told:
        async with JupyterExecutor(sandbox) as executor:
            assert (await run(executor, "1 + 1")).result == "2"
    assert len(told) == 1
    assert "\n" not in str(told[0].message)


@pytest.mark.kernel
@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:model-written programs run at:UserWarning")
async def test_without_any_layer_a_program_can_do_what_we_can() -> None:
    async with JupyterExecutor(Sandbox(layers=frozenset(), unsafe_local=True, preload=())) as executor:
        execution = await run(executor, f"len(open({__file__!r}).read()) > 100")
        assert (execution.status, execution.result) == (ExecutionStatus.OK, "True")
