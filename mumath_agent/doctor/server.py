"""Does the server do what the agent counts on? Reached, the right model, stop strings, prefix cache, cancelling.

Each check asks a `Visit`; the first two write down there what the others need. What depends on the model's own files
is in `weights.py`.
"""

import time
from contextlib import aclosing
from typing import Any

import anyio

from mumath_agent.doctor.finding import Finding, fail, ok, warn
from mumath_agent.doctor.visit import QUESTION, Served, Subject, Visit
from mumath_agent.models.select import model_at

SHORT_TOKENS = 32
LONG_TOKENS, COPIES = 1024, 4
"""So much is asked for that no server is through with it before its client has left."""
GONE_WITHIN_S = 1.0
_LOOK_EVERY_S = 0.05
_RUNNING, _HITS = "vllm:num_requests_running", "vllm:prefix_cache_hits_total"
_WRITTEN = "vllm:generation_tokens_total"
_SEE_LOG = "see the server's log"


async def reached(visit: Visit) -> Finding:
    """Whether somebody answers who serves models."""
    url = visit.endpoint.url
    answer = await visit.endpoint.ask("GET", "/models")
    if answer.status in (401, 403):
        return fail(f"{url} wants another key", "set MUMATH_API_KEY to the server's")
    if answer.is_missing:
        return warn(f"{url} answers, but lists no models", "name the one it serves with --model")
    if answer.status != 200 or not isinstance(answer.body, dict):
        return fail(f"{url}/models answered {answer.status}", _SEE_LOG)
    visit.listed = tuple(_served(entry) for entry in answer.body.get("data") or ())
    version = (await visit.endpoint.ask("GET", "/../version")).body
    said = version.get("version") if isinstance(version, dict) else None
    return ok(f"{url}, vLLM {said}" if said else url)


def _served(entry: dict[str, Any]) -> Served:
    root, context_tokens = entry.get("root"), entry.get("max_model_len")
    return Served(name=str(entry.get("id")), root=root, context_tokens=context_tokens)


async def model_name(visit: Visit) -> Finding:
    """Whether it serves the model that is wanted, or just one."""
    by_name = {served.name: served for served in visit.listed}
    names = ", ".join(map(repr, by_name)) or "none that it names"
    wanted = visit.model or (visit.listed[0].name if len(visit.listed) == 1 else None)
    if wanted is None:
        return fail(f"it serves {names}", "say which with --model")
    if by_name and wanted not in by_name:
        return fail(f"it serves no {wanted!r}; it serves {names}", "name one of these with --model")
    served = by_name.get(wanted, Served(name=wanted))
    chosen = await model_at([visit.endpoint.url], wanted, visit.dialect)  # as `solve` does
    await chosen.model.aclose()
    files = visit.files or served.root
    visit.found = Subject(served=served, family=chosen.family, dialect=chosen.dialect, files=files)
    return ok(f"{wanted}, asked in the dialect {chosen.dialect.name}")


async def endpoint(visit: Visit) -> Finding:
    """Whether there is one for the kind of prompt that the dialect writes."""
    path, body = visit.subject.request(visit.subject.prompts()[0], {})
    answer = await visit.endpoint.ask("POST", path, body)
    if answer.is_missing and "messages" in body:
        return fail(f"there is no /v1{path}: this server continues raw text only", "--dialect fenced")
    if answer.is_missing:
        return fail(f"there is no /v1{path}: this server takes the messages of a chat only", "--dialect chat")
    if answer.status != 200:
        return fail(f"/v1{path} answered {answer.status}: {answer.message}", _SEE_LOG)
    return ok(f"/v1{path}")


async def stop_strings(visit: Visit) -> Finding:
    """Let the model write, then again with a word of that as the stop string."""
    prompt = visit.subject.prompts()[0]
    whole = (await visit.write(prompt, max_tokens=SHORT_TOKENS)).text
    words = whole[len(whole) // 2 :].split()
    if not words:
        return warn("could not be tried: the model writes next to nothing", "watch an attempt of `solve`")
    stop, before = words[0], whole[: whole.index(words[0])]
    text = (await visit.write(prompt, max_tokens=SHORT_TOKENS, stop=[stop])).text
    if text == before:
        return ok(f"a text ends before {stop!r}")
    if text == before + stop:
        remedy = "the agent cuts it off; have the server leave it out"
        return warn(f"the stop string {stop!r} stays in the text", remedy)
    if stop in text:
        remedy = "take a server that knows `stop`; the agent cuts texts, but waits for what it cuts off"
        return fail(f"the server writes on after the stop string {stop!r}", remedy)
    return warn("could not be told: the same greedy request gave two texts", "watch an attempt of `solve`")


async def prefix_cache(visit: Visit) -> Finding:
    """Whether the second turn of an attempt is read on from where the first one ended."""
    # Long, because caches hold whole blocks of up to 128 tokens; and one that no cache has met.
    question = f"Case {time.time_ns()}. {' '.join([QUESTION] * 6)}"
    first, second = visit.subject.prompts(question)
    await visit.write(first)
    before = await visit.endpoint.metric(_HITS)
    written = await visit.write(second)
    cached = written.cached_tokens
    if cached is None and before is not None:
        cached = round(await visit.endpoint.metric(_HITS) or 0.0) - round(before)
    if cached is None:
        remedy = "vLLM does: --enable-prompt-tokens-details"
        return warn("the server does not say what it had in its cache", remedy)
    detail = f"{cached} of a second turn's {written.prompt_tokens} tokens came from the cache"
    remedy = "vLLM: --enable-prefix-caching; without it every turn reads the whole text anew"
    return ok(detail) if cached > 0 else warn(detail, remedy)


async def cancellation(visit: Visit) -> Finding:
    """Whether a completion nobody listens to any more ends, as the server's own metrics tell it."""
    metric = visit.endpoint.metric
    before, written_before = await metric(_RUNNING), await metric(_WRITTEN)
    if before is None or written_before is None:
        remedy = "cancel an attempt, and see in the server's log whether it goes on"
        return warn("can't be seen: the server has none of vLLM's metrics", remedy)
    asked = min(LONG_TOKENS, (visit.subject.served.context_tokens or LONG_TOKENS) // 2)
    many = {"max_tokens": asked, "ignore_eos": True, "temperature": 1.0, "n": COPIES}
    async with aclosing(visit.stream(visit.subject.prompts()[0], **many)) as events:
        await anext(events)
        during = await metric(_RUNNING) or 0.0
    left = time.monotonic()
    while (await metric(_RUNNING) or 0.0) > before:
        if time.monotonic() - left > GONE_WITHIN_S:
            remedy = "a proxy before the server must tell it that a client has left"
            return fail(f"a completion still runs {GONE_WITHIN_S:g} s after its client left", remedy)
        await anyio.sleep(_LOOK_EVERY_S)
    gone_s = time.monotonic() - left
    if during <= before or (await metric(_WRITTEN) or 0.0) - written_before >= asked * COPIES:
        return warn("could not be told: all was written before the client left", "try again")
    return ok(f"a completion is gone {gone_s:.2f} s after its client left")


async def context(visit: Visit) -> Finding:
    """Whether attempts fit into what the server lets a model read."""
    has, limits = visit.subject.served.context_tokens, visit.limits
    if has is None:
        remedy = "see in its settings whether a long attempt fits"
        return warn("the server does not say how many tokens it takes", remedy)
    if limits.max_new_tokens > has:
        detail = f"{has} tokens, fewer than the {limits.max_new_tokens} a completion may have: each will be refused"
        return fail(detail, f"solve with --max-new-tokens {has // 2}, or serve with a larger --max-model-len")
    needed = visit.subject.family.context_tokens or limits.max_turns * limits.max_new_tokens
    if has < needed:
        return warn(f"{has} tokens; a long attempt takes {needed}", f"serve with --max-model-len {needed}")
    return ok(f"{has} tokens; a long attempt takes no more than {needed}")
