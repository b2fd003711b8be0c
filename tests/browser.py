"""A real headless Chromium, driven over its debugging pipe: pages side by side, each in its own tab."""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import HANG_S

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
in_browser = pytest.mark.browser
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on PATH")


class Browser:
    """A running Chromium. Calls wait for its answer; what it tells besides is kept by tab."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, os.fdopen(answers, "rb", buffering=0)
        self._numbers, self._rest = count(1), b""
        self.told: dict[str, list[dict[str, Any]]] = {}

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (found := self._message()).get("id") != number:
            self.told.setdefault(found.get("sessionId", ""), []).append(found)
        assert "error" not in found, (method, found["error"])
        result: dict[str, Any] = found["result"]
        return result

    def tab(self, width: int = 1280, height: int = 900, *, dark: bool = False) -> "Tab":
        context = self.call("Target.createBrowserContext")["browserContextId"]
        return self.beside(context, width, height, dark=dark)

    def beside(self, context: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> "Tab":
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session, target, context)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setFocusEmulationEnabled", enabled=True)  # as if each were the one in front
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        tab.call("Emulation.setEmulatedMedia", features=scheme)
        tab.resize(width, height)
        return tab

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = self._answers.read(1 << 20)
            assert piece, "the browser has ended"
            self._rest += piece
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message


@dataclass(frozen=True, eq=False)
class Tab:
    """A tab of the browser."""

    browser: Browser
    session: str
    target: str
    context: str
    errors: list[str] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def open(self, url: str) -> "Tab":
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")
        return self

    def run(self, script: str) -> Any:
        """Return the value of an expression; the page's policy doesn't bind us."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in done, (script, done["exceptionDetails"])
        return done["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Wait until an expression is true, and return its value."""
        until = time.monotonic() + HANG_S
        while time.monotonic() < until:
            try:
                if value := self.run(f"(v => v instanceof Node ? true : v)({condition})"):
                    return value
            except AssertionError:  # the page is just changing
                pass
            time.sleep(0.03)
        raise AssertionError(f"never true: {condition}\n{self.text()[:3000]}\n{self.problems()}")

    def text(self) -> str:
        """Return what can be read on the page."""
        text: str = self.run("document.body.innerText")
        return text

    def sees(self, *texts: str) -> None:
        for text in texts:
            self.wait(f"document.body.innerText.includes({json.dumps(text)})")

    def click(self, text: str) -> None:
        """Click the button or link that reads so."""
        named = f"e => e.innerText.trim() === {json.dumps(text)}"
        found = f"[...document.querySelectorAll('button, a, summary')].find({named})"
        self.wait(
            f"(() => {{ const e = {found}; if (!e || e.disabled) return false; e.focus(); e.click(); return true; }})()"
        )

    def fill(self, selector: str, text: str) -> None:
        self.wait(f"(document.querySelector({json.dumps(selector)})?.focus(), true)")
        self.run(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")

    def press(self, key: str, **more: Any) -> None:
        about = {"key": key, "code": key, **more}
        if key == "Enter":
            about |= {"windowsVirtualKeyCode": 13, "text": "\r"}
        if key == "Tab":
            about |= {"windowsVirtualKeyCode": 9}
        if key == " ":
            about |= {"windowsVirtualKeyCode": 32, "text": " ", "code": "Space"}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **{k: v for k, v in about.items() if k != "text"})

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def problems(self) -> list[str]:
        """Return what the page complained about: exceptions, refused addresses, errors of the console."""
        self.run("1")
        found = []
        for told in self.browser.told.get(self.session, []):
            parameters = told.get("params", {})
            if told["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            if told["method"] == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                found.append(parameters["entry"]["text"])
            if told["method"] == "Runtime.consoleAPICalled" and parameters["type"] == "error":
                found.append(str(parameters["args"]))
        return found

    def requested(self) -> list[str]:
        """Return all addresses that the page asked for."""
        self.run("1")
        told = self.browser.told.get(self.session, [])
        return [
            each["params"]["request"]["url"] for each in told if each["method"] == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start a Chromium, and end it with the block."""
    assert CHROMIUM is not None
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    words = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", f"exec {shlex.join(words)} 3<&{theirs_in} 4>&{theirs_out}"],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    browser = Browser(ours_out, ours_in)
    try:
        yield browser
    finally:
        with suppress(OSError, AssertionError):  # it has ended by itself
            browser.call("Browser.close")
        process.wait(HANG_S)
        os.close(ours_out)
        browser._answers.close()
