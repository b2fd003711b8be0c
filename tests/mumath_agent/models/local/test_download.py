"""Downloads, from a hub of our own over real connections: whatever breaks, no half file is ever taken for a model."""

import hashlib
import json
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from huggingface_hub import constants, file_download

from mumath_agent.errors import InputError
from mumath_agent.models.local import Entry, find_model, memory
from mumath_agent.models.local import catalogue as catalogue_module
from mumath_agent.models.local.download import cache_of, download
from mumath_agent.models.local.find import cached, from_catalogue
from mumath_agent.serving import free_port
from tests.mumath_agent.models.local.hub import COMMIT, Hub, serving
from tests.programs import PROGRAM, mumath_agent
from tests.terminals import at_terminal
from tests.waiting import HANG_S, comes_true

FILE, CONTENT = "tiny-q4_k_m.gguf", bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    hub.files[FILE] = CONTENT
    with serving(hub):
        yield hub


@pytest.fixture(autouse=True)
def cache(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the hub's cache, an empty one, in a process for which our hub is the hub; it reads little at a time."""
    set_endpoint(hub.url, monkeypatch)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda _: None, time=time.time))
    return tmp_path / "cache"


def set_endpoint(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template.replace(constants.ENDPOINT, url))
    monkeypatch.setattr(constants, "ENDPOINT", url)


def part(size: int) -> Path:
    """Lay the beginning of a download into the cache."""
    path = cache_of("me/tiny") / "blobs" / f"{SHA256}.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:size])
    return path


def no_model() -> bool:
    """Tell whether nothing in the cache would be taken for a model."""
    return (
        not list(cache_of("me/tiny").glob("snapshots/*/*"))
        and not (cache_of("me/tiny") / "blobs" / SHA256).exists()
    )


def test_a_download_lies_in_the_hubs_cache_and_needs_no_network_again(hub: Hub) -> None:
    notices: list[str] = []
    found = find_model("me/tiny", on_notice=notices.append)
    assert found.read_bytes() == CONTENT and found.name == FILE and COMMIT in str(found)
    assert notices == [f"downloading {FILE} of me/tiny; a download that is broken off goes on next time"]
    hub.status = 500
    assert find_model("me/tiny", on_notice=notices.append) == found == find_model("me/tiny:q4_k_m")
    assert len(notices) == 1 and len(hub.ranges) == 1
    assert not list(cache_of("me/tiny").glob("blobs/*.part"))


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: Hub) -> None:
    hub.breaks_after = [100_000, 200_000]
    assert download("me/tiny", FILE).read_bytes() == CONTENT
    assert hub.ranges == ["", "bytes=100000-", "bytes=300000-"]


def test_what_another_run_received_is_not_asked_for_again(hub: Hub) -> None:
    part(700_000)
    assert download("me/tiny", FILE).read_bytes() == CONTENT
    assert hub.ranges == ["bytes=700000-"]


def test_a_whole_part_is_only_checked(hub: Hub) -> None:
    part(len(CONTENT))
    assert download("me/tiny", FILE).read_bytes() == CONTENT
    assert hub.ranges == []


@pytest.mark.parametrize("how", ["takes no ranges", "refuses the range", "is too long"])
def test_a_part_that_can_not_be_continued_is_begun_again(hub: Hub, how: str) -> None:
    path = part(700_000)
    if how == "takes no ranges":
        hub.takes_ranges = False
    elif how == "refuses the range":
        hub.content_status = 416
    else:
        path.write_bytes(CONTENT + b"more")
    assert download("me/tiny", FILE).read_bytes() == CONTENT


def test_a_part_with_wrong_bytes_is_noticed_and_removed(hub: Hub) -> None:
    path = part(500)
    path.write_bytes(b"x" * 500)
    with pytest.raises(InputError, match=r"arrived with the checksum .*; it was removed: try again"):
        download("me/tiny", FILE)
    assert no_model() and not path.exists()
    assert download("me/tiny", FILE).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (401, "RepoNotFound", "the hub has no such repository, or you need `hf auth login`"),
        (404, "RepoNotFound", "the hub has no such repository"),
        (403, "GatedRepo", "accept its terms on its page of the hub, then `hf auth login`"),
        (403, "", "the hub answered 403; `hf auth login` may help"),
        (429, "", "the hub answered 429; try again later"),
        (500, "", "the hub answered 500; try again later"),
        (503, "", "the hub answered 503; try again later"),
        (404, "EntryNotFound", "the repository has no such file"),
    ],
)
@pytest.mark.parametrize("asked", ["the list", "a file"])
def test_what_the_hub_refuses_is_one_line(hub: Hub, status: int, code: str, told: str, asked: str) -> None:
    hub.status, hub.error_code = status, code
    with pytest.raises(InputError) as raised:
        find_model("me/tiny") if asked == "the list" else download("me/tiny", FILE)
    assert told in str(raised.value) and "\n" not in str(raised.value) and no_model()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_what_the_other_server_refuses_is_one_line_and_keeps_what_there_is(hub: Hub, status: int) -> None:
    path = part(1000)
    hub.content_status = status
    with pytest.raises(InputError, match=rf"can't get .*: .*({status}|no such)") as raised:
        download("me/tiny", FILE)
    assert "\n" not in str(raised.value) and no_model() and path.stat().st_size == 1000


@pytest.mark.parametrize("asked", ["the list", "a file"])
def test_a_hub_that_is_none_is_said(hub: Hub, asked: str) -> None:
    hub.is_hub = False
    with pytest.raises(InputError, match="what answered isn't the hub; see HF_ENDPOINT"):
        find_model("me/tiny") if asked == "the list" else download("me/tiny", FILE)


@pytest.mark.parametrize("name", ["a b/c", "me/..", "me/tiny--x", f"me/{'x' * 200}"])
def test_a_name_that_none_can_have_is_one_line(name: str) -> None:
    with pytest.raises(InputError, match="can't get the list of files of") as raised:
        find_model(name)
    assert "\n" not in str(raised.value)


def test_what_the_memory_can_not_hold_is_not_downloaded(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(InputError, match=r"has 0\.0 GB and 0\.0 GB of memory are free; it wasn't downloaded"):
        download("me/tiny", FILE)
    assert hub.ranges == [] and no_model()


def test_two_who_want_one_file_download_it_once(hub: Hub) -> None:
    hub.holds_after, found = 1000, list[Path]()
    both = [Thread(target=lambda: found.append(download("me/tiny", FILE))) for _ in range(2)]
    for one in both:
        one.start()
    assert hub.holding.wait(HANG_S)
    hub.goes_on.set()
    for one in both:
        one.join(HANG_S)
    assert len(found) == 2 and found[0].read_bytes() == CONTENT and hub.ranges == [""]


@pytest.mark.parametrize("told", ["Connection refused", "Name or service not known"])
def test_no_network_and_no_such_host(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, told)

    if "refused" not in told:
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    set_endpoint("http://127.0.0.1:1" if "refused" in told else "http://huggingface.co", monkeypatch)
    with pytest.raises(InputError, match=rf"the hub can't be reached or broke off \(.*{told}") as raised:
        find_model("me/tiny")
    assert "\n" not in str(raised.value)


def test_offline_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set; unset it, or give the path of a file"):
        find_model("me/tiny")


@pytest.mark.parametrize("resets", [True, False])
def test_a_connection_that_always_breaks_ends_in_one_line_and_goes_on_next_time(
    hub: Hub, resets: bool, caplog: pytest.LogCaptureFixture
) -> None:
    hub.breaks_after, hub.resets = [5000, *[0] * 20], resets
    with pytest.raises(InputError, match="the same command goes on from there") as raised:
        download("me/tiny", FILE)
    assert "\n" not in str(raised.value) and no_model() and not caplog.records
    hub.breaks_after, begun = [], len(hub.ranges)
    assert download("me/tiny", FILE).read_bytes() == CONTENT
    assert hub.ranges[begun:] == ["bytes=5000-"] or resets  # of which less may arrive


def test_the_users_key_is_not_sent_to_another_server(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    download("me/tiny", FILE)
    assert hub.keys == [""]


def entry(sha256: str = SHA256) -> Entry:
    return Entry(
        name="tiny",
        repository="me/tiny",
        file=FILE,
        bytes=len(CONTENT),
        sha256=sha256,
        licence="Apache-2.0",
        parameters="0B",
        context_tokens=1,
    )


def test_another_file_than_the_catalogues_is_refused(hub: Hub) -> None:
    with pytest.raises(
        InputError, match=r"has the checksum .*, not 000000000000…; it was removed: try again"
    ):
        from_catalogue(entry("0" * 64))
    assert cached(entry()) is None and no_model()


def test_models_shows_what_is_there(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "CATALOGUE", (entry(),))
    assert json.loads(mumath_agent("models", "--json").stdout)[0]["file"] == ""
    found = from_catalogue(entry())
    assert json.loads(mumath_agent("models", "--json").stdout)[0]["file"] == str(found)


@pytest.mark.parametrize(
    ("files", "name", "told"),
    [
        (
            ["a-Q8_0.gguf", "a-Q2_K.gguf"],
            "me/tiny",
            "no GGUF file Q4_K_M in one piece, but a-Q8_0.gguf, a-Q2_K",
        ),
        (["a-q4_k_m-00001-of-00002.gguf"], "me/tiny", "in one piece, but a-q4_k_m-00001-of-00002.gguf;"),
        (["mmproj-F16.gguf", "a-BF16.gguf"], "me/tiny:F16", "no GGUF file F16 in one piece"),
        (["README.md"], "me/tiny", "no GGUF file Q4_K_M in one piece, but none"),
        ([f"\x1b[31m{n}.gguf" for n in range(9)], "me/tiny", "but [31m0.gguf, .*4.gguf and 4 more"),
    ],
)
def test_a_repository_without_such_a_file(hub: Hub, files: list[str], name: str, told: str) -> None:
    hub.files = dict.fromkeys(files, b"")
    with pytest.raises(InputError) as raised:
        find_model(name)
    assert told.split(".*")[0] in str(raised.value) and "\x1b" not in str(raised.value)


def test_the_only_file_is_taken_whatever_it_is(hub: Hub) -> None:
    hub.files = {"only-Q5_1.gguf": CONTENT, "mmproj-F16.gguf": b""}
    hub.files.pop("mmproj-F16.gguf")
    assert find_model("me/tiny").name == "only-Q5_1.gguf"


@pytest.mark.parametrize("how", ["no room", "ends in the middle"])
def test_a_full_disk_is_one_line_and_goes_on_when_there_is_room(
    hub: Hub, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = shutil.disk_usage(cache_of("me/tiny").parents[1])
    with monkeypatch.context() as full:
        if how == "no room":
            full.setattr("shutil.disk_usage", lambda _: room._replace(free=100))
        else:
            _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        try:
            with pytest.raises(
                InputError, match=r"can't keep .*; make room, or name another place with"
            ) as told:
                download("me/tiny", FILE)
        finally:
            if how != "no room":
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(told.value) and no_model()
    assert download("me/tiny", FILE).read_bytes() == CONTENT
    assert how == "no room" or hub.ranges[-1] == "bytes=300000-"


def test_progress_is_shown_at_a_terminal(hub: Hub, cache: Path) -> None:
    command = [*PROGRAM, "serve", "--local", "me/tiny", "--port", str(free_port())]
    shown = at_terminal(command, HF_ENDPOINT=hub.url, HF_HUB_CACHE=str(cache))
    text = "\n".join(shown.screen)
    assert shown.code == 2 and f"downloading {FILE} of me/tiny" in text
    assert f"{FILE}: 100%" in text and "isn't a GGUF file" in text


# Ended in the middle, in a process of its own


@pytest.fixture
def solving(hub: Hub, cache: Path, tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        environment = {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"}
        command = ["env", *(f"{name}={value}" for name, value in environment.items()), *PROGRAM]
        command += ["serve", "--local", "me/tiny", "--port", str(free_port())]
        with (tmp_path / "stderr").open("w") as stderr:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_ended_in_the_middle_of_a_download_it_goes_on_from_there(
    hub: Hub, solving: Callable[[], "subprocess.Popen[str]"], tmp_path: Path, number: signal.Signals
) -> None:
    read_at_once = 10 << 20
    hub.files[FILE] = large = CONTENT * 24
    hub.holds_after = read_at_once + 1000
    process = solving()
    blobs = cache_of("me/tiny") / "blobs"
    assert comes_true(lambda: [path.stat().st_size for path in blobs.glob("*.part")] == [read_at_once])
    process.send_signal(number)
    assert process.wait(HANG_S) == (-9 if number == signal.SIGKILL else 130)
    said = (tmp_path / "stderr").read_text()
    assert "Traceback" not in said and (number == signal.SIGKILL or said.endswith("interrupted\n"))
    assert no_model() and not [path for path in blobs.iterdir() if path.suffix != ".part"]
    hub.holds_after = None
    assert download("me/tiny", FILE).read_bytes() == large
    assert hub.ranges == ["", f"bytes={read_at_once}-"]
