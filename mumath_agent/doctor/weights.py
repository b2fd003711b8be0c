"""Check that a model's own files are what its weights were trained with: its rope base, and its tokenizer's ids.

Nothing fails visibly when they aren't: the model answers, only worse than it could.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from tokenizers import Tokenizer

from mumath_agent.dialects.families import family_of
from mumath_agent.doctor.visit import Visit
from mumath_agent.errors import InputError
from mumath_agent.serving.checks import check_rope
from mumath_agent.serving.config import config_of, shape_of
from mumath_agent.serving.finding import Finding, Status, fail, ok, warn

_ODD = "Off the tracks:  ünïcödé, 3/4 & \\sqrt{2},\t日本, 1e-9 -- and now?\n\n"
"""Text on which tokenizers differ: double spaces, a tab, accents, CJK, backslashes, newlines in a row."""
_OTHER_TOKENIZER = "serve with the tokenizer it was trained with (vLLM's --tokenizer)"
_UNLESS_OVERRIDDEN = "a server that was started with this override is fine, but doesn't report it"
_SAY_WHERE = "give the folder or hub id of the served model with --serve-model"


async def rope_base(model: str) -> Finding:
    """Check that the rope base in a model's config is the one its family was trained with."""
    config = config_of(model)
    if config is None:
        return warn(f"the config.json of {model} is neither on this machine nor on the hub", _SAY_WHERE)
    return check_rope(shape_of(config), family_of(model, config).rope_theta)


async def served_rope_base(visit: Visit) -> Finding:
    """Check the rope base of the model that the server has loaded."""
    files = visit.examined.files
    if files is None:
        return warn("the server doesn't say what it has loaded", _SAY_WHERE)
    try:
        found = await rope_base(files)
    except InputError:
        if visit.files is not None:
            raise
        return warn(f"{files} isn't on this machine", _SAY_WHERE)
    if found.status is Status.FAIL:
        return replace(found, remedy=f"{found.remedy}; {_UNLESS_OVERRIDDEN}")
    return found


async def token_identity(visit: Visit) -> Finding:
    """Check that the server tokenizes our prompts into the same ids as training did."""
    model = visit.examined
    prompts = [text for text in (*model.prompts(), *model.prompts(_ODD)) if isinstance(text, str)]
    if not prompts:
        return ok("doesn't apply: the server's chat template writes the prompt")
    tokenizer = _tokenizer(model.files) if model.files else None
    if tokenizer is None:
        return warn("the model's tokenizer.json isn't available here", _SAY_WHERE)
    expected = {prompt: tokenizer.encode(prompt).ids for prompt in prompts}
    for prompt, ours in expected.items():
        theirs = await _ids_of_server(visit, prompt)
        if theirs is None:
            return await _same_counts(visit, expected)
        if theirs != ours:
            return fail(_difference(tokenizer, ours, theirs), _OTHER_TOKENIZER)
    return ok(f"{sum(map(len, expected.values()))} tokens of {len(prompts)} prompts, all the same")


async def _ids_of_server(visit: Visit, prompt: str) -> list[int] | None:
    """Return the ids from vLLM's `/tokenize`, or None if the server doesn't have it."""
    body = {"model": visit.examined.listed.name, "prompt": prompt}
    reply = await visit.endpoint.ask("POST", "/../tokenize", body)
    if reply.status != 200 or not isinstance(reply.body, dict) or "count" not in reply.body:
        return None
    return list(reply.body["tokens"])


async def _same_counts(visit: Visit, expected: Mapping[str, list[int]]) -> Finding:
    """Compare the numbers of tokens, for a server that doesn't show the ids."""
    for prompt, ours in expected.items():
        count = (await visit.write(prompt)).prompt_tokens
        if count is None:
            return warn("the server reports neither ids nor their number", "vLLM reports them at /tokenize")
        if count != len(ours):
            return fail(f"a prompt of {len(ours)} tokens has {count} on the server", _OTHER_TOKENIZER)
    return ok(f"{len(expected)} prompts have the right number of tokens; the server doesn't show the ids")


def _difference(tokenizer: Tokenizer, ours: list[int], theirs: list[int]) -> str:
    """Describe the first token that differs."""
    pairs = zip_longest(ours, theirs)
    place, (own, other) = next((place, pair) for place, pair in enumerate(pairs) if pair[0] != pair[1])

    def shown(token: int | None) -> str:
        return "nothing" if token is None else f"{token} {tokenizer.id_to_token(token)!r}"

    return f"token {place} of a prompt is {shown(other)} on the server, {shown(own)} by the model's own tokenizer"


def _tokenizer(model: str) -> Tokenizer | None:
    """Return the tokenizer of a folder or of a model on the hub, or None if it isn't available."""
    folder = Path(model).expanduser()
    path = folder / "tokenizer.json" if folder.is_dir() else _hub_file(model, "tokenizer.json")
    return Tokenizer.from_file(str(path)) if path and path.is_file() else None


def _hub_file(model: str, name: str) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    for cached_only in (True, False):
        try:
            return Path(hf_hub_download(model, name, local_files_only=cached_only))
        except HFValidationError:  # a path of another machine
            return None
        except (EntryNotFoundError, OSError):
            continue
    return None
