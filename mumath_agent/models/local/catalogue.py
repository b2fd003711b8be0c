"""List the models that were tried with this agent, by a short name; their files are checked against a checksum."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file on the hub that was run here."""

    name: str
    """The short name, for `--local`."""
    repository: str
    file: str
    bytes: int
    sha256: str
    licence: str
    parameters: str
    context_tokens: int
    scored: str = "not measured"
    """Its accuracy here, with programs; docs/accuracy.md says how it was measured."""


CATALOGUE = (
    Entry(
        name="qwen2.5-coder-1.5b",
        repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        bytes=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        parameters="1.5B",
        context_tokens=32768,
        scored="GSM8K 64 % of 100, GSM-Hard 58 % of 60",
    ),
    Entry(
        name="qwen2.5-coder-0.5b",
        repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        parameters="0.5B",
        context_tokens=32768,
    ),
)
"""The best first."""


def entry_called(name: str) -> Entry | None:
    """Return the entry of that short name, if there is one."""
    return next((entry for entry in CATALOGUE if entry.name == name.lower()), None)
