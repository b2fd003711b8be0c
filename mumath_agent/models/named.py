"""Name models of servers that run on this machine without an address: ollama/NAME and lmstudio/NAME, as others do."""

import os
import re
from typing import NamedTuple

_LM_STUDIO = "http://127.0.0.1:1234"
"""Where LM Studio serves unless it is told otherwise."""
_OLLAMA_PORT = 11434
_ANYWHERE = ("", "0.0.0.0", "[::]")
"""What a server is told for "on all addresses"; a client finds it on its own machine."""
_HOST = re.compile(r"(?:(https?)://)?(\[[^\]/]*\]|[^:/]*)(?::(\d+))?(/.*)?")
_OLLAMA, _LMSTUDIO = "ollama", "lmstudio"


class NamedModel(NamedTuple):
    """A model of a server whose address is known."""

    is_ollama: bool
    url: str
    name: str


def named_model(model: str | None) -> NamedModel | None:
    """Return what ollama/NAME or lmstudio/NAME stands for; None for any other name."""
    server, _, name = (model or "").partition("/")
    if not name:
        return None
    if server == _OLLAMA:
        return NamedModel(True, ollama_url(os.environ.get("OLLAMA_HOST", "")), name)
    return NamedModel(False, _LM_STUDIO, name) if server == _LMSTUDIO else None


def ollama_url(host: str) -> str:
    """Return the address that OLLAMA_HOST stands for: a host, a port, or both, with or without http:// before it."""
    given = host.strip().strip("\"'").strip()
    if given.count(":") > 1 and "[" not in given and "//" not in given:
        given = f"[{given}]"  # IPv6
    found = _HOST.fullmatch(given)
    if found is None:
        return given  # whoever uses it says what is wrong
    scheme, name, port, path = found.groups()
    standard = {"http": 80, "https": 443}.get(scheme, _OLLAMA_PORT)
    where = "127.0.0.1" if name in _ANYWHERE else name
    return f"{scheme or 'http'}://{where}:{port or standard}{(path or '').rstrip('/')}"
