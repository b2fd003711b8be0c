"""Run `mumath-agent models`: the local models that were tried, and which of them are on this machine."""

from typing import Annotated

import typer
from rich.table import Table

from mumath_agent.commands.console import print_json, stdout


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List the local models that were tried, for `--local NAME`.

    Any other GGUF file works as well: `--local FILE`, or `--local owner/repo[:QUANT]` for one of the hub.

    Examples:
        mumath-agent models
        mumath-agent models --json
    """
    from mumath_agent.models.local.catalogue import CATALOGUE
    from mumath_agent.models.local.find import cached

    rows = [
        {
            "name": entry.name,
            "parameters": entry.parameters,
            "size_bytes": entry.bytes,
            "context_tokens": entry.context_tokens,
            "licence": entry.licence,
            "scored": entry.scored,
            "repository": entry.repository,
            "file": str(cached(entry) or ""),
        }
        for entry in CATALOGUE
    ]
    if as_json:
        print_json(rows)
        return
    table = Table("name", "parameters", "size", "context", "licence", "scored", "on this machine")
    for row, entry in zip(rows, CATALOGUE, strict=True):
        size, context = f"{entry.bytes / 1e9:.1f} GB", f"{entry.context_tokens:,}"
        table.add_row(
            entry.name,
            entry.parameters,
            size,
            context,
            entry.licence,
            entry.scored,
            str(row["file"]) or "no, downloaded when used",
        )
    stdout().print(table)
