"""List all checks in the order in which they run: what others build on comes first.

A server's API key is read from the environment, as in all commands.
"""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mumath_agent.doctor import installation, machine, server, weights
from mumath_agent.doctor.check import Check, examine
from mumath_agent.doctor.endpoint import Endpoint
from mumath_agent.doctor.visit import Visit
from mumath_agent.models.http.wire import API_KEY
from mumath_agent.records import Limits
from mumath_agent.serving.finding import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """What to examine."""

    results: Path
    """The directory where results will be written."""
    vllm_python: Path | None = None
    base_url: str | None = None
    """A server's address; None examines only this machine."""
    model: str | None = None
    """The model's name on the server; None takes the only one."""
    dialect: str | None = None
    """The dialect's name; None takes that of the model's family."""
    files: str | None = None
    """The folder or hub id of the model that is served, or will be."""
    limits: Limits = field(default_factory=Limits)


async def survey(
    options: DoctorOptions, on_begin: Callable[[str], None] = lambda name: None
) -> AsyncGenerator[Finding, None]:
    """Run all checks in order and yield their findings; `on_begin` is called with each name before the check looks.

    Raises:
        InputError: the server's address can't be used.
    """
    if options.base_url is None:
        async for finding in examine(machine_checks(options), on_begin):
            yield finding
        return
    async with Endpoint(options.base_url, os.environ.get(API_KEY)) as endpoint:
        visit = Visit(
            endpoint=endpoint,
            limits=options.limits,
            model=options.model,
            dialect=options.dialect,
            files=options.files,
        )
        async for finding in examine([*machine_checks(options), *server_checks(visit)], on_begin):
            yield finding


def machine_checks(options: DoctorOptions) -> Iterator[Check]:
    """Yield the checks of the installation, this machine and, if its server isn't examined, the model's files."""
    yield Check(name="package", look=installation.package)
    yield Check(name="python", look=installation.python, needs=("package",))
    yield Check(name="dependencies", look=installation.dependencies, needs=("package",))
    yield Check(name="kernel spec", look=installation.kernelspec, needs=("package",))
    yield Check(name="work disk", look=machine.work_disk)
    results = partial(machine.disk, options.results, "free some space, or write results elsewhere")
    yield Check(name="results disk", look=results)
    yield Check(name="isolation", look=machine.isolation, needs=("work disk",))
    yield Check(name="kernel start", look=machine.kernel, needs=("isolation",))
    yield Check(name="gpu", look=machine.gpu)
    yield Check(name="vllm", look=partial(machine.vllm, options.vllm_python), needs=("package",))
    if options.files is not None and options.base_url is None:
        yield Check(name="rope base", look=partial(weights.rope_base, options.files))


def server_checks(visit: Visit) -> Iterator[Check]:
    """Yield the checks of a server and of the model it serves."""

    def check(name: str, look: Callable[[Visit], Awaitable[Finding]], *needs: str) -> Check:
        return Check(name=name, look=partial(look, visit), needs=needs)

    yield check("server", server.reached)
    yield check("model name", server.model_name, "server")
    yield check("endpoint", server.endpoint, "model name")
    yield check("stop strings", server.stop_strings, "endpoint")
    yield check("prefix cache", server.prefix_cache, "endpoint")
    yield check("cancelling", server.cancellation, "endpoint")
    yield check("context", server.context, "model name")
    yield check("long prompt", server.long_prompt, "endpoint")
    yield check("rope base", weights.served_rope_base, "model name")
    yield check("token identity", weights.token_identity, "endpoint")
