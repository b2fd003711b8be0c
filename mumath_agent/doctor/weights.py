"""Are the served model's own files what the weights were trained with? Its config, and the ids of its tokenizer.

Faults here fail nowhere: the model answers, only worse than it could.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from tokenizers import Tokenizer

from mumath_agent.doctor.finding import Finding, Status, fail, ok, warn
from mumath_agent.doctor.visit import Visit
from mumath_agent.errors import InputError
from mumath_agent.serving.checks import Level, check_config
from mumath_agent.serving.config import config_of

_ODD = "Off the tracks:  ünïcödé, 3/4 & \\sqrt{2},\t日本, 1e-9 -- and now?\n\n"
"""Where tokenizers part: double spaces, a tab, accents, CJK, backslashes, newlines in a row."""
_OTHER_TOKENIZER = "serve with the tokenizer of the training: vLLM's --tokenizer"
_UNLESS_OVERRIDDEN = "a server that was started so is well, but doesn't tell"
_SAY_WHERE = "name the folder or hub id of what is served with --serve-model"


async def config(model: str) -> Finding:
    """Whether the config of a model agrees with what its family was trained with."""
    found = config_of(model)
    if found is None:
        return warn(f"the config.json of {model} is not on this machine, and the hub gives none", _SAY_WHERE)
    findings = check_config(model, found)
    bad = [finding for finding in findings if finding.level is not Level.OK]
    details = "; ".join(f"{finding.about}: {finding.said}" for finding in bad or findings)
    if not bad:
        return ok(details)
    remedy = "; ".join(finding.remedy for finding in bad if finding.remedy)
    worst = Status.FAIL if any(finding.level is Level.FAIL for finding in bad) else Status.WARN
    return Finding(status=worst, detail=details, remedy=remedy or None)


async def served_config(visit: Visit) -> Finding:
    """The same for the model that the server serves."""
    files = visit.subject.files
    if files is None:
        return warn("the server does not say what it loaded", _SAY_WHERE)
    try:
        found = await config(files)
    except InputError:
        if visit.files is not None:
            raise
        return warn(f"{files} is not on this machine", _SAY_WHERE)
    if found.status is Status.FAIL:
        return replace(found, remedy=f"{found.remedy}; {_UNLESS_OVERRIDDEN}")
    return found


async def token_identity(visit: Visit) -> Finding:
    """Whether the server cuts our prompts into the very ids that training cut them into."""
    subject = visit.subject
    prompts = [text for text in (*subject.prompts(), *subject.prompts(_ODD)) if isinstance(text, str)]
    if not prompts:
        return ok("not ours to keep: the server's chat template writes the prompt")
    tokenizer = _tokenizer(subject.files) if subject.files else None
    if tokenizer is None:
        return warn("the model's tokenizer.json can't be had here", _SAY_WHERE)
    expected = {prompt: tokenizer.encode(prompt).ids for prompt in prompts}
    for prompt, ours in expected.items():
        theirs = await _ids_of_server(visit, prompt)
        if theirs is None:
            return await _same_counts(visit, expected)
        if theirs != ours:
            return fail(_difference(tokenizer, ours, theirs), _OTHER_TOKENIZER)
    return ok(f"{sum(map(len, expected.values()))} tokens of {len(prompts)} prompts, all the same")


async def _ids_of_server(visit: Visit, prompt: str) -> list[int] | None:
    """By vLLM's `/tokenize`; None where there is none that answers so."""
    body = {"model": visit.subject.served.name, "prompt": prompt}
    answer = await visit.endpoint.ask("POST", "/../tokenize", body)
    if answer.status != 200 or not isinstance(answer.body, dict) or "count" not in answer.body:
        return None
    return list(answer.body["tokens"])


async def _same_counts(visit: Visit, expected: Mapping[str, list[int]]) -> Finding:
    """Compare how many tokens there are, where the server doesn't say which."""
    for prompt, ours in expected.items():
        count = (await visit.write(prompt)).prompt_tokens
        if count is None:
            return warn("the server tells neither ids nor their number", "vLLM does, by /tokenize")
        if count != len(ours):
            return fail(f"a prompt of {len(ours)} tokens has {count} on the server", _OTHER_TOKENIZER)
    return ok(f"{len(expected)} prompts have as many tokens as they should; the server shows no ids")


def _difference(tokenizer: Tokenizer, ours: list[int], theirs: list[int]) -> str:
    """The first one, in words."""
    pairs = zip_longest(ours, theirs)
    place, (own, other) = next((place, pair) for place, pair in enumerate(pairs) if pair[0] != pair[1])

    def shown(token: int | None) -> str:
        return "nothing" if token is None else f"{token} {tokenizer.id_to_token(token)!r}"

    return f"token {place} of a prompt is {shown(other)} on the server, {shown(own)} by the model's own tokenizer"


def _tokenizer(model: str) -> Tokenizer | None:
    """That of a folder, or of a model on the hub; None if it can't be had."""
    folder = Path(model).expanduser()
    path = folder / "tokenizer.json" if folder.is_dir() else _file_of_hub(model, "tokenizer.json")
    return Tokenizer.from_file(str(path)) if path and path.is_file() else None


def _file_of_hub(model: str, name: str) -> Path | None:
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
