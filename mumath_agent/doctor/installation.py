"""Check how the package is installed: its metadata, the interpreter, its dependencies, its kernel spec.

The requirements are read from the package's own metadata, as pip does. Nothing here starts a process.
"""

import platform
import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, entry_points, requires, version

from packaging.requirements import Requirement

import mumath_agent
from mumath_agent.serving.finding import Finding, fail, ok, warn

DISTRIBUTION = "mumath-agent"
KERNEL = "mumath"
PROVISIONERS = "jupyter_client.kernel_provisioners"
_INSTALL_AGAIN = f"pip install --force-reinstall --no-deps {DISTRIBUTION}, or `.` in a checkout"
_CLASSIFIER = "Programming Language :: Python :: "


async def package() -> Finding:
    """Check that the package is installed, not just found on the path."""
    folder = mumath_agent.__path__[0]
    try:
        installed = version(DISTRIBUTION)
    except PackageNotFoundError:
        return fail(f"{folder} is imported, but {DISTRIBUTION} isn't installed", _INSTALL_AGAIN)
    if installed != mumath_agent.__version__:
        return warn(
            f"{folder} is version {mumath_agent.__version__}, but {installed} is installed", _INSTALL_AGAIN
        )
    return ok(f"{installed}, {folder}")


async def python() -> Finding:
    """Check that this is an interpreter that the tests run with."""
    classifiers = distribution(DISTRIBUTION).metadata.get_all("Classifier") or []
    tested = [line.removeprefix(_CLASSIFIER) for line in classifiers if line.startswith(_CLASSIFIER)]
    detail = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    this = ".".join(platform.python_version_tuple()[:2])
    if sys.implementation.name != "cpython" or this not in tested:
        return warn(detail, f"it may well work, but the tests run with CPython {', '.join(tested)}")
    return ok(detail)


async def dependencies() -> Finding:
    """Check that every dependency is installed, in a version that the package supports."""
    wanted = list(_needed())
    found = {requirement.name: _version(requirement.name) for requirement in wanted}
    missing = [requirement for requirement in wanted if found[requirement.name] is None]
    if missing:
        return fail(f"missing: {', '.join(requirement.name for requirement in missing)}", _install(missing))
    outside = [r for r in wanted if not r.specifier.contains(found[r.name] or "", prereleases=True)]
    if outside:
        versions = (f"{r.name} {found[r.name]} (supported: {r.specifier})" for r in outside)
        return warn(", ".join(versions), _install(outside))
    return ok(f"{len(wanted)} dependencies, all within their ranges")


async def kernelspec() -> Finding:
    """Check that programs that start Jupyter kernels by name find ours."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec(KERNEL)
    except NoSuchKernel:
        return fail(f"jupyter_client finds no kernel {KERNEL!r}", _INSTALL_AGAIN)
    provisioner = spec.metadata.get("kernel_provisioner", {}).get("provisioner_name", "")
    entries = entry_points(group=PROVISIONERS, name=provisioner)
    if not entries:
        return fail(
            f"kernel {KERNEL!r} needs the provisioner {provisioner!r}, which isn't installed", _INSTALL_AGAIN
        )
    try:
        next(iter(entries)).load()
    except (ImportError, AttributeError) as error:
        return fail(f"the provisioner {provisioner!r} can't be imported: {error}", _INSTALL_AGAIN)
    return ok(f"{KERNEL}, {spec.resource_dir}")


def range_of(name: str) -> str:
    """Return the versions of a package that our metadata allows, in any extra; empty if it isn't named there."""
    wanted = (Requirement(line) for line in requires(DISTRIBUTION) or ())
    return next((str(requirement.specifier) for requirement in wanted if requirement.name == name), "")


def _needed() -> Iterator[Requirement]:
    """Yield what is required on this machine without any extra."""
    for line in requires(DISTRIBUTION) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _install(wanted: list[Requirement]) -> str:
    return f"pip install {' '.join(shlex.quote(f'{r.name}{r.specifier}') for r in wanted)}"
