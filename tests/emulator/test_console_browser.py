"""The console in a real browser: Chromium, driven by Playwright."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright here")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here"),
]

HOSTILE = [
    "<script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe",
    "zero\N{ZERO WIDTH SPACE}width",
    "new\nline",
    "x" * 1000,
    "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}",
]
VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (e) => violations.push(e.blockedURI));
"""


class Emulated:
    """An emulator in a process of its own, and requests to it over one connection."""

    def __init__(self, **environment: str) -> None:
        self.url = ""
        self._environment = os.environ | environment
        self.start()

    def start(self) -> None:
        """Start it, at the same address as before if there was one."""
        port = str(urlsplit(self.url).port or 0)
        self._process = subprocess.Popen(  # noqa: S603  # ours
            [
                sys.executable,
                "-m",
                "presence_async",
                "emulate",
                "--json",
                f"--port={port}",
            ],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self.url = json.loads(self._process.stdout.readline())["console"]
        self._connection = http.client.HTTPConnection(urlsplit(self.url).netloc)

    def ask(self, method: str, target: str) -> Any:
        headers = {"Content-Type": "application/json"}
        self._connection.request(method, target, headers=headers)
        return json.loads(self._connection.getresponse().read())

    def beat(self, user: str, channel: str = "lobby", more: str = "") -> int:
        path = f"/v2/presence/sub-key/demo/channel/{quote(channel, safe='')}/heartbeat"
        query = f"heartbeat=300&uuid={quote(user, safe='')}{more}"
        status: int = self.ask("GET", f"{path}?{query}")["status"]
        return status

    def beat_all(self, users: list[str]) -> None:
        """Let many users beat without waiting for the answers in between."""
        path = "/v2/presence/sub-key/demo/channel/lobby/heartbeat?heartbeat=300&uuid="
        lines = [f"GET {path}{user} HTTP/1.1\r\nHost: localhost\r\n" for user in users]
        url = urlsplit(self.url)
        with socket.create_connection((url.hostname, url.port)) as connection:
            connection.sendall(
                ("\r\n".join(lines) + "Connection: close\r\n\r\n").encode()
            )
            while connection.recv(65_536):
                pass

    def control(self, method: str, path: str) -> Any:
        return self.ask(method, f"/_emulator/{path}")

    def stop(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Emulated]:
    emulated = Emulated()
    yield emulated
    emulated.stop()


class Console:
    """The page in a tab of its own, and what it did that it should not."""

    def __init__(self, browser: Any, served: Emulated) -> None:
        self.tab = browser.new_page(viewport={"width": 1440, "height": 900})
        self.tab.set_default_timeout(5000)
        self.tab.add_init_script(VIOLATIONS)
        self.errors: list[str] = []
        self.addresses: list[str] = []
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", lambda request: self.addresses.append(request.url))
        self._url = served.url

    def open(self) -> Any:
        self.tab.goto(self._url)
        sync_api.expect(self.tab.get_by_text("live", exact=True)).to_be_visible()
        return self.tab

    def check(self) -> None:
        """Nothing failed, nothing was blocked, nobody else was asked."""
        assert self.errors == []
        assert self.tab.evaluate("violations") == []
        assert {a for a in self.addresses if not a.startswith(self._url)} <= {
            a for a in self.addresses if a.startswith("data:image/svg+xml,")
        }


@pytest.fixture
def console(browser: Any, served: Emulated) -> Iterator[Console]:
    served.control("POST", "reset")
    console = Console(browser, served)
    yield console
    console.check()
    console.tab.close()


def test_hostile_names_are_text(console: Console, served: Emulated) -> None:
    for name in HOSTILE:
        state = quote(json.dumps({"lobby": {"note": name}}))
        served.beat(name, more=f"&state={state}")
        served.beat(name, channel=name)

    tab = console.open()
    tab.locator("#channels button", has_text="lobby").click()
    names = tab.locator("#occupants tbody tr bdi:first-child")
    sync_api.expect(names).to_have_count(len(HOSTILE))

    assert names.all_text_contents() == [
        *HOSTILE[:2],
        r"\u{202e}gnp.exe",
        r"zero\u{200b}width",
        r"new\u{a}line",
        *HOSTILE[5:],
    ]
    sync_api.expect(tab.locator("#events tbody tr")).to_have_count(2 * len(HOSTILE))
    assert tab.locator("main script, main img").count() == 0
    assert tab.evaluate("window.ran") is None
    for width in (360, 800, 1440):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator("#occupants tbody td").first.bounding_box()["height"] < 60


def test_a_user_is_kicked_by_the_keyboard(console: Console, served: Emulated) -> None:
    served.beat("alice")
    served.beat("bob")
    tab = console.open()
    kick = tab.get_by_role("button", name="Kick alice")

    kick.focus()
    tab.keyboard.press("Enter")

    sync_api.expect(kick).to_have_count(0)
    # The focus is on the next one, and not back at the top of the page.
    sync_api.expect(tab.get_by_role("button", name="Kick bob")).to_be_focused()
    first = tab.locator("#events tbody tr").first
    sync_api.expect(first).to_contain_text(re.compile("timeout.*alice.*lobby"))
    assert list(served.control("GET", "occupants?channel=lobby")["occupants"]) == [
        "bob"
    ]


def test_faults_are_injected_and_lifted(console: Console, served: Emulated) -> None:
    tab = console.open()
    faults = tab.locator("#active li")

    tab.get_by_role("button", name="Outage").click()
    sync_api.expect(faults).to_have_count(1)
    assert served.beat("bob") == 503
    sync_api.expect(faults).to_contain_text("1 hit")
    tab.get_by_role("button", name="Lift: every request").click()
    sync_api.expect(faults).to_have_count(0)
    assert served.beat("bob") == 200

    tab.get_by_label("What it hits").select_option("leave")
    tab.get_by_label("Amount").fill("418")
    tab.get_by_label("How long").select_option("for requests")
    tab.get_by_label("Seconds or requests").fill("3")
    tab.get_by_label("Seconds or requests").press("Enter")
    sync_api.expect(faults).to_contain_text("leave: answered 418")
    said = {"operation": "leave", "status": 418, "times": 3}
    assert served.control("GET", "faults")["faults"] == [said]

    tab.get_by_label("What it hits").select_option("events on their way")
    tab.get_by_role("button", name="Inject").click()
    sync_api.expect(faults).to_have_count(2)
    assert served.control("GET", "event-faults")["faults"] == [{"drop": 0.5}]
    tab.get_by_role("button", name="Lift all").click()
    sync_api.expect(faults).to_have_count(0)


def test_time_jumps_and_everything_is_forgotten(
    console: Console, served: Emulated
) -> None:
    served.beat("bob")
    tab = console.open()
    events = tab.locator("#events tbody tr")

    tab.get_by_role("button", name="Pause").click()
    tab.get_by_label("Seconds to jump").fill("301")
    tab.get_by_role("button", name="Jump", exact=True).click()
    sync_api.expect(tab.locator("#event-count")).to_have_text("1 held back")
    assert events.count() == 1
    tab.get_by_role("button", name="Go on").click()
    sync_api.expect(events.first).to_contain_text("timeout")

    tab.get_by_label("Filter events").fill("JOIN")
    sync_api.expect(events).to_have_count(1)
    tab.get_by_role("button", name="Reset").click()
    assert events.count() == 1  # it asks first
    tab.get_by_role("button", name="Forget everything?").click()
    sync_api.expect(events).to_have_count(0)
    sync_api.expect(tab.get_by_text("Nobody is here yet.")).to_be_visible()
    command = tab.locator("#hint-join").inner_text()
    assert f"--origin {served.url.rstrip('/')}" in command


def test_every_control_is_reached_by_tab_and_shows_it(
    console: Console, served: Emulated
) -> None:
    served.beat("bob")
    served.control("POST", "faults?status=503")
    tab = console.open()
    sync_api.expect(tab.get_by_role("button", name="Kick bob")).to_be_visible()
    wanted = tab.evaluate(
        "[...document.querySelectorAll('button, input, select, a, [tabindex=\"0\"]')]"
        ".filter((e) => e.checkVisibility() && !e.disabled).length"
    )

    reached, shown = set(), []
    for _ in range(wanted):
        tab.keyboard.press("Tab")
        which, outline = tab.evaluate(
            "[[...document.querySelectorAll('*')].indexOf(document.activeElement),"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached.add(which)
        shown.append(outline)

    assert len(reached) == wanted > 20
    assert set(shown) == {"solid"}


def test_it_is_dark_or_light_as_the_system_is_or_as_chosen(console: Console) -> None:
    tab = console.open()

    def colours() -> tuple[float, float]:
        """Return the lightness of page and text, 0 to 255."""
        texts = tab.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.body).color]"
        )
        page, ink = [sum(map(float, re.findall(r"\d+", t)[:3])) / 3 for t in texts]
        return page, ink

    tab.emulate_media(color_scheme="dark")
    page, ink = colours()
    assert (page < 60, ink > 180) == (True, True)
    tab.emulate_media(color_scheme="light")
    page, ink = colours()
    assert (page > 180, ink < 60) == (True, True)
    theme = tab.get_by_role("button", name="Theme:")
    theme.click()
    theme.click()
    assert theme.inner_text() == "Theme: dark"
    assert colours()[0] < 60
    tab.reload()
    assert colours()[0] < 60


def test_only_what_changes_is_drawn_again(console: Console, served: Emulated) -> None:
    served.beat_all([f"user-{number:03}" for number in range(500)])
    tab = console.open()
    rows = tab.locator("#occupants tbody tr")
    sync_api.expect(rows).to_have_count(500)
    tab.evaluate(
        "window.changed = 0; new MutationObserver((all) => changed += all.length)"
        ".observe(document.querySelector('#occupants tbody'),"
        " { childList: true, subtree: true, characterData: true })"
    )
    before = rows.first.locator(".due span").first.inner_text()

    served.control("POST", "advance?seconds=60")
    sync_api.expect(rows.first.locator(".due span").first).not_to_have_text(before)
    served.beat("one-more")
    sync_api.expect(rows).to_have_count(501)

    # The seconds of the rows in view, and one new row.
    assert 0 < tab.evaluate("changed") < 200


def test_an_emulator_that_is_away_is_waited_for(
    console: Console, served: Emulated
) -> None:
    served.beat("bob")
    tab = console.open()

    served.stop()
    sync_api.expect(tab.get_by_text("not reachable, retrying")).to_be_visible()
    served.start()
    sync_api.expect(tab.get_by_text("live", exact=True)).to_be_visible()
    sync_api.expect(tab.get_by_text("Nobody is here yet.")).to_be_visible()


def test_a_control_token_is_asked_for_and_kept_for_the_tab(browser: Any) -> None:
    served = Emulated(PRESENCE_EMULATOR_CONTROL_TOKEN="top-secret")
    console = Console(browser, served)
    tab = console.tab
    tab.goto(served.url)
    asks = tab.get_by_label("This emulator asks for its control token.")

    asks.fill("wrong")
    asks.press("Enter")
    sync_api.expect(tab.get_by_text("locked")).to_be_visible()
    asks.fill("top-secret")
    asks.press("Enter")
    sync_api.expect(tab.get_by_text("live", exact=True)).to_be_visible()
    sync_api.expect(asks).to_be_hidden()
    tab.get_by_role("button", name="Outage").click()
    sync_api.expect(tab.locator("#active li")).to_have_count(1)
    tab.reload()
    sync_api.expect(tab.get_by_text("live", exact=True)).to_be_visible()

    assert "top-secret" not in tab.content() + tab.url
    assert tab.evaluate("JSON.stringify(localStorage)") == "{}"
    console.check()
    tab.close()
    served.stop()
