"""Check that a server does what the agent relies on: the right model, stop strings, prefix cache, cancelling.

Each check gets the `Visit`; the first two record there what the others need. What depends on the model's own files is
in `weights.py`.
"""

import time
from contextlib import aclosing
from typing import Any

import anyio

from mumath_agent.doctor.endpoint import RawCompletion
from mumath_agent.doctor.visit import QUESTION, ExaminedModel, ListedModel, Visit
from mumath_agent.models.context import LONGER_CONTEXT, TooLong
from mumath_agent.models.select import model_at
from mumath_agent.serving.finding import Finding, fail, ok, warn

SHORT_TOKENS = 32
LONG_TOKENS, COPIES = 1024, 4
"""More than any server can generate before its client has left."""
GONE_WITHIN_S = 1.0
_FILLING = "A farmer sells 12 eggs and buys 7 apples. "
_FEW, _MORE = 8, 16
"""Sentences of short prompts, from which the length of a long one follows."""
_LEAST = 0.9
"""The part of a long prompt's tokens that a server must have read; the estimate is that good."""
_LOOK_EVERY_S = 0.05
_RUNNING, _HITS = "vllm:num_requests_running", "vllm:prefix_cache_hits_total"
_WRITTEN = "vllm:generation_tokens_total"
_SEE_LOG = "see the server's log"


async def reached(visit: Visit) -> Finding:
    """Check that the server answers and lists its models."""
    url = visit.endpoint.url
    reply = await visit.endpoint.ask("GET", "/models")
    if reply.status in (401, 403):
        return fail(f"{url} needs another API key", "set MUMATH_API_KEY to the server's key")
    if reply.is_missing:
        return warn(f"{url} answers, but doesn't list its models", "name the model with --model")
    if reply.status != 200:
        return fail(f"{url}/models answered {reply.status}", _SEE_LOG)
    entries = reply.body.get("data") if isinstance(reply.body, dict) else None
    if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
        detail = f"{url} isn't an OpenAI-compatible API: it answered GET /models with {reply.message[:80]}"
        return fail(detail, "check the server's address (--base-url)")
    visit.listed = tuple(map(_listed, entries))
    version = (await visit.endpoint.ask("GET", "/../version")).body
    number = version.get("version") if isinstance(version, dict) else None
    return ok(f"{url}, vLLM {number}" if number else url)


def _listed(entry: dict[str, Any]) -> ListedModel:
    root, context_tokens = entry.get("root"), entry.get("max_model_len")
    return ListedModel(name=str(entry.get("id")), root=root, context_tokens=context_tokens)


async def model_name(visit: Visit) -> Finding:
    """Check that the server has the requested model or, if none was requested, exactly one."""
    by_name = {model.name: model for model in visit.listed}
    names = ", ".join(map(repr, by_name)) or "no model that it names"
    name = visit.model or (visit.listed[0].name if len(visit.listed) == 1 else None)
    if name is None:
        return fail(f"the server has {names}", "choose one with --model")
    if by_name and name not in by_name:
        return fail(f"the server doesn't have {name!r}; it has {names}", "choose one of these with --model")
    listed = by_name.get(name, ListedModel(name=name))
    selected = await model_at([visit.endpoint.url], name, visit.dialect)  # as `solve` does
    await selected.model.aclose()
    files = visit.files or listed.root
    visit.found = ExaminedModel(listed=listed, family=selected.family, dialect=selected.dialect, files=files)
    return ok(f"{name}, prompted in the dialect {selected.dialect.name}")


async def endpoint(visit: Visit) -> Finding:
    """Check that the server has an endpoint for the dialect's kind of prompt."""
    path, body = visit.examined.request(visit.examined.prompts()[0], {})
    reply = await visit.endpoint.ask("POST", path, body)
    if reply.is_missing and "messages" in body:
        return fail(f"there is no /v1{path}: this server only continues raw text", "--dialect fenced")
    if reply.is_missing:
        return fail(f"there is no /v1{path}: this server only takes chat messages", "--dialect chat")
    if reply.status != 200:
        return fail(f"/v1{path} answered {reply.status}: {reply.message}", _SEE_LOG)
    return ok(f"/v1{path}")


async def stop_strings(visit: Visit) -> Finding:
    """Let the model write, then write again with one of those words as the stop string, and compare."""
    prompt = visit.examined.prompts()[0]
    whole = (await visit.write(prompt, max_tokens=SHORT_TOKENS)).text
    words = whole[len(whole) // 2 :].split()
    if not words:
        return warn("can't be tried: the model writes next to nothing", "watch an attempt of `solve`")
    stop, before = words[0], whole[: whole.index(words[0])]
    text = (await visit.write(prompt, max_tokens=SHORT_TOKENS, stop=[stop])).text
    if text == before:
        return ok(f"the text ends before {stop!r}")
    if text == before + stop:
        remedy = "the agent cuts it off, but the server should leave it out"
        return warn(f"the stop string {stop!r} stays in the text", remedy)
    if stop in text:
        remedy = "use a server that supports `stop`; the agent cuts the text, but has to wait for the rest"
        return fail(f"the server keeps writing after the stop string {stop!r}", remedy)
    return warn("can't be determined: the same greedy request gave two texts", "watch an attempt of `solve`")


async def prefix_cache(visit: Visit) -> Finding:
    """Check that an attempt's second turn finds its first turn in the prefix cache."""
    # Long, because caches hold whole blocks of up to 128 tokens; and new, so that no cache has it yet.
    question = f"Case {time.time_ns()}. {' '.join([QUESTION] * 6)}"
    first, second = visit.examined.prompts(question)
    await visit.write(first)
    before = await visit.endpoint.metric(_HITS)
    written = await visit.write(second)
    cached = written.cached_tokens
    if cached is None and before is not None:
        cached = round(await visit.endpoint.metric(_HITS) or 0.0) - round(before)
    if cached is None:
        remedy = "for vLLM: --enable-prompt-tokens-details"
        return warn("the server doesn't say what came from its cache", remedy)
    detail = f"{cached} of a second turn's {written.prompt_tokens} tokens came from the cache"
    remedy = "for vLLM: --enable-prefix-caching; without it every turn reads the whole text again"
    return ok(detail) if cached > 0 else warn(detail, remedy)


async def cancellation(visit: Visit) -> Finding:
    """Check, by the server's own metrics, that a completion ends when its client disconnects."""
    metric = visit.endpoint.metric
    before, written_before = await metric(_RUNNING), await metric(_WRITTEN)
    if before is None or written_before is None:
        remedy = "cancel an attempt, and check in the server's log whether it goes on"
        return warn("can't be determined: the server doesn't have vLLM's metrics", remedy)
    asked = min(LONG_TOKENS, (visit.examined.listed.context_tokens or LONG_TOKENS) // 2)
    many = {"max_tokens": asked, "ignore_eos": True, "temperature": 1.0, "n": COPIES}
    async with aclosing(visit.stream(visit.examined.prompts()[0], **many)) as events:
        await anext(events)
        during = await metric(_RUNNING) or 0.0
    left = time.monotonic()
    while (await metric(_RUNNING) or 0.0) > before:
        if time.monotonic() - left > GONE_WITHIN_S:
            remedy = "if there is a proxy, it must pass the disconnect on to the server"
            return fail(f"a completion still runs {GONE_WITHIN_S:g} s after its client disconnected", remedy)
        await anyio.sleep(_LOOK_EVERY_S)
    gone_s = time.monotonic() - left
    if during <= before or (await metric(_WRITTEN) or 0.0) - written_before >= asked * COPIES:
        return warn("can't be determined: the completion ended before its client disconnected", "try again")
    return ok(f"a completion ended {gone_s:.2f} s after its client disconnected")


async def context(visit: Visit) -> Finding:
    """Check that attempts fit into the context that the server allows."""
    has, limits = visit.examined.listed.context_tokens, visit.limits
    if has is None:
        remedy = "check in its settings that a long attempt fits"
        return warn("the server doesn't say how many tokens it takes", remedy)
    if limits.max_new_tokens > has:
        detail = f"{has} tokens, but one completion may take {limits.max_new_tokens}: every request will be refused"
        return fail(detail, f"solve with --max-new-tokens {has // 2}, or serve with a larger --max-model-len")
    needed = visit.examined.family.context_tokens or limits.max_turns * limits.max_new_tokens
    if has < needed:
        return warn(
            f"{has} tokens, but a long attempt takes {needed}", f"serve with --max-model-len {needed}"
        )
    return ok(f"{has} tokens; a long attempt takes no more than {needed}")


async def long_prompt(visit: Visit) -> Finding:
    """Check that a server reads a long attempt's prompt whole: some silently drop the beginning."""
    few, more = [(await _about_word(visit, sentences))[1].prompt_tokens for sentences in (_FEW, _MORE)]
    tokens = _attempt_tokens(visit) * 3 // 4
    if few is None or more is None:
        return await _recalled(visit, tokens)
    each = (more - few) / (_MORE - _FEW)
    if each <= 0 or more >= tokens:
        return ok("doesn't apply: the context is short")
    sentences = round((tokens - few) / each) + _FEW
    try:
        read = (await _about_word(visit, sentences))[1].prompt_tokens or 0
    except TooLong:
        return ok(f"a prompt of about {tokens} tokens is refused, not cut")
    if read < _LEAST * tokens:
        return fail(f"of a prompt of about {tokens} tokens the server read only {read}", LONGER_CONTEXT)
    return ok(f"a prompt of {read} tokens is read whole")


async def _recalled(visit: Visit, tokens: int) -> Finding:
    """Ask for a word at a prompt's beginning, where the server doesn't say how many tokens it read."""
    sentences = tokens // len(_FILLING.split())
    try:
        asked = [await _about_word(visit, number, SHORT_TOKENS) for number in (_FEW, sentences)]
    except TooLong:
        return ok(f"a prompt of about {tokens} tokens is refused, not cut")
    recalls = [word in written.text for word, written in asked]
    if recalls == [True, False]:
        return fail(
            "the model recalls the beginning of a short prompt, but not that of a long one", LONGER_CONTEXT
        )
    if all(recalls):
        return ok(f"the model recalls the beginning of a prompt of about {tokens} tokens")
    return warn(
        "can't be determined: the server doesn't say how many tokens it read", "check its context's length"
    )


async def _about_word(visit: Visit, sentences: int, max_tokens: int = 1) -> tuple[str, RawCompletion]:
    """Return a new word, and what the model writes when it is asked for it at the end of a prompt."""
    word = f"word{time.time_ns() % 10**6}"  # at the beginning, so that no cache has the prompt
    question = f"{word} is the password. {_FILLING * sentences}What is the password?"
    return word, await visit.write(visit.examined.prompts(question)[0], max_tokens=max_tokens)


def _attempt_tokens(visit: Visit) -> int:
    """Return how many tokens a long attempt takes, as far as the server says that they fit."""
    needed = visit.examined.family.context_tokens or visit.limits.max_turns * visit.limits.max_new_tokens
    return min(needed, visit.examined.listed.context_tokens or needed)
