"""All checks, in the order in which they are made: what others build on comes first.

The API key of a server is read from the environment, as for all commands.
"""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mumath_agent.doctor import installation, machine, server, weights
from mumath_agent.doctor.endpoint import Endpoint
from mumath_agent.doctor.finding import Check, Finding, examine
from mumath_agent.doctor.visit import Visit
from mumath_agent.models.replicas import API_KEY
from mumath_agent.records import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be examined."""

    results: Path
    """Where results are to be written."""
    vllm_python: Path | None = None
    base_url: str | None = None
    """Of a server; without one none is asked."""
    model: str | None = None
    """Its name on the server; None takes the only one."""
    dialect: str | None = None
    """None takes the one of the model's family."""
    files: str | None = None
    """Those of the model that is served, or shall be: a folder or a hub id."""
    limits: Limits = field(default_factory=Limits)


async def survey(
    wanted: Wanted, on_begin: Callable[[str], None] = lambda name: None
) -> AsyncGenerator[Finding, None]:
    """Make all checks in turn; `on_begin` gets the name of each before it looks.

    Raises:
        InputError: the server's address is none.
    """
    if wanted.base_url is None:
        async for finding in examine(of_machine(wanted), on_begin):
            yield finding
        return
    async with Endpoint(wanted.base_url, os.environ.get(API_KEY)) as endpoint:
        visit = Visit(
            endpoint=endpoint,
            limits=wanted.limits,
            model=wanted.model,
            dialect=wanted.dialect,
            files=wanted.files,
        )
        async for finding in examine([*of_machine(wanted), *of_server(visit)], on_begin):
            yield finding


def of_machine(wanted: Wanted) -> Iterator[Check]:
    yield Check(name="package", look=installation.package)
    yield Check(name="python", look=installation.python, needs=("package",))
    yield Check(name="dependencies", look=installation.dependencies, needs=("package",))
    yield Check(name="kernel spec", look=installation.kernelspec, needs=("package",))
    yield Check(name="work disk", look=machine.work_disk)
    results = partial(machine.disk, wanted.results, "free it, or write results elsewhere")
    yield Check(name="results disk", look=results)
    yield Check(name="isolation", look=machine.isolation, needs=("work disk",))
    yield Check(name="kernel start", look=machine.kernel, needs=("isolation",))
    yield Check(name="gpu", look=machine.gpu)
    yield Check(name="vllm", look=partial(machine.vllm, wanted.vllm_python), needs=("package",))
    if wanted.files is not None and wanted.base_url is None:
        yield Check(name="config", look=partial(weights.config, wanted.files))


def of_server(visit: Visit) -> Iterator[Check]:
    def check(name: str, look: Callable[[Visit], Awaitable[Finding]], *needs: str) -> Check:
        return Check(name=name, look=partial(look, visit), needs=needs)

    yield check("server", server.reached)
    yield check("model name", server.model_name, "server")
    yield check("endpoint", server.endpoint, "model name")
    yield check("stop strings", server.stop_strings, "endpoint")
    yield check("prefix cache", server.prefix_cache, "endpoint")
    yield check("cancelling", server.cancellation, "endpoint")
    yield check("context", server.context, "model name")
    yield check("config", weights.served_config, "model name")
    yield check("token identity", weights.token_identity, "endpoint")
