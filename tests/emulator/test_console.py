"""The console without a browser: its page, who gets it, and what it is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from typing import Any

import attrs
import pytest

from presence_async import InvalidArgumentError
from presence_async.emulator import EmulatorProfile, EventFault, Fault, PresenceEmulator
from presence_async.emulator.console import page
from presence_async.emulator.control import Control, ControlRequest
from presence_async.emulator.options import Options
from presence_async.emulator.service import Service
from presence_async.protocol.exchange import HttpReply, HttpRequest

HTML = page().body.decode()
POLICY = page().headers["content-security-policy"]
BEAT = "/v2/presence/sub-key/{}/channel/{}/heartbeat?uuid={}&heartbeat={}"


def directives() -> dict[str, str]:
    return dict(part.split(" ", 1) for part in POLICY.split("; "))


# The page.


def test_only_what_stands_in_the_page_can_run() -> None:
    for tag, directive in [("script", "script-src"), ("style", "style-src")]:
        texts = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", HTML, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(texts[0].encode()).digest()).decode()

        assert len(texts) == 1
        assert directives()[directive] == f"'sha256-{digest}'"
    assert "unsafe" not in POLICY
    assert re.findall(r"\son\w+=|\sstyle=", HTML.partition("<script>")[0]) == []


def test_the_page_can_reach_and_be_framed_by_nobody_else() -> None:
    headers = page().headers

    for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert directives()[name] == "'none'"
    assert directives()["connect-src"] == "'self'"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_names_no_address_and_makes_no_markup() -> None:
    addresses = set(re.findall(r"https?://[^'\"\s]*", HTML))

    # The namespace of SVG, which is a name.
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write", HTML)


async def test_it_is_served_at_the_root(emulator: PresenceEmulator, wire: Any) -> None:
    status, headers, body = await wire.ask("/")
    head_status, _, head_body = await wire.ask("/", method="HEAD")
    post_status, _, _ = await wire.ask("/", method="POST", body=b"{}")

    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"] == POLICY.lower()
    assert body.decode() == HTML
    assert (head_status, head_body) == (200, b"")
    assert post_status != 200
    assert [entry.method for entry in emulator.requests] == ["POST"]


def asked(path: str, **facts: Any) -> ControlRequest:
    target, _, query = path.partition("?")
    http = HttpRequest(path=target, query=query)
    given: dict[str, Any] = {"method": "GET", "headers": {}, "peer": "127.0.0.1"}
    return ControlRequest(http=http, **(given | facts))


@pytest.mark.parametrize(
    ("facts", "of_page", "of_data"),
    [
        ({}, 200, 200),
        ({"headers": {"sec-fetch-site": "cross-site"}}, 200, 403),
        ({"headers": {"host": "evil.example", "sec-fetch-site": "none"}}, 403, 403),
        ({"target_host": "evil.example"}, 403, 403),
        ({"peer": "192.168.0.7"}, 403, 403),
    ],
    ids=["program", "link", "rebinding", "target", "elsewhere"],
)
def test_other_sites_may_link_to_the_page_and_learn_nothing(
    facts: dict[str, Any], of_page: int, of_data: int
) -> None:
    control = Control(Service(Options(), clock=lambda: 0.0), "demo")

    answers = [
        control.answer(asked(path, **facts), now_s=0)
        for path in ("/", "/_emulator/console")
    ]

    assert [answer.status for answer in answers] == [of_page, of_data]


def test_the_page_is_read_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file may be gone later, while another version is installed."""
    control = Control(Service(Options(), clock=lambda: 0.0), "demo")
    monkeypatch.delattr("presence_async.emulator.control.page")

    assert control.answer(asked("/"), now_s=0).body == page().body


def test_with_a_token_everybody_gets_the_page_and_nobody_data_without_it() -> None:
    service = Service(Options(), clock=lambda: 0.0)
    control = Control(service, "demo", token="t")
    elsewhere: dict[str, Any] = {"peer": "192.168.0.7"}
    bearer = {"headers": {"authorization": "Bearer t"}}

    answers = [
        control.answer(asked(path, **elsewhere, **facts), now_s=0).status
        for path, facts in [
            ("/", {}),
            ("/_emulator/console", {}),
            ("/_emulator/console", bearer),
        ]
    ]

    assert answers == [200, 401, 200]


@pytest.mark.parametrize(
    ("origin", "site", "status"),
    [
        ("http://localhost:8080", "same-origin", 200),
        ("http://localhost:8080", None, 200),
        ("http://localhost:3000", "same-site", 403),
        ("http://localhost:3000", "same-origin", 403),
        ("http://127.0.0.1:8080", "same-origin", 403),
        ("http://localhost:8080", "same-site", 403),
        ("http://localhost:8080, http://evil.example", "same-origin", 403),
        ("null", "same-origin", 403),
        (None, "same-site", 403),
        (None, "cross-site", 403),
    ],
)
def test_of_all_pages_only_the_console_may_steer(
    origin: str | None, site: str | None, status: int
) -> None:
    control = Control(Service(Options(), clock=lambda: 0.0), "demo")
    given = {"origin": origin, "sec-fetch-site": site, "host": "localhost:8080"}
    headers = {name: value for name, value in given.items() if value is not None}
    headers["content-type"] = "application/json"

    answer = control.answer(
        asked("/_emulator/reset", method="POST", headers=headers), now_s=0
    )

    assert answer.status == status


# What it is told.


class Shown:
    """A service, and what its console shows."""

    def __init__(self) -> None:
        self.service = Service(Options(), clock=lambda: 1000.0)
        self._control = Control(self.service, "demo")

    def beat(
        self, user: str, *, key: str = "demo", channel: str = "a", more: str = ""
    ) -> None:
        path, _, query = BEAT.format(key, channel, user, 20).partition("?")
        http = HttpRequest(path=path, query=query + more)
        pending = self.service.receive(http, now_s=0)
        reply = self.service.reply(pending, now_s=0)
        assert isinstance(reply, HttpReply)
        pending.finish(reply)

    def ask(self, query: str = "", now_s: float = 0) -> dict[str, Any]:
        answer = self._control.answer(asked(f"/_emulator/console?{query}"), now_s=now_s)
        assert answer.status == 200
        told: dict[str, Any] = json.loads(answer.body)
        return told


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_everything_is_told_at_once(shown: Shown) -> None:
    shown.beat("bob", more='&state={"a":{"x":1}}')
    shown.service.faults.inject(Fault(status=503, for_s=9, times=2), now_s=0)
    shown.service.event_faults.inject(EventFault(drop=0.5), now_s=0)

    told = shown.ask("channel=a", now_s=5)

    assert told["channels"] == [["a", 1]]
    assert told["occupants"] == [["bob", '{"x": 1}', 20, 20]]
    assert told["events"] == [[0, "join", "a", "bob", 1]]
    [request] = told["requests"]
    assert request[2:7] == ["GET", "heartbeat", "bob", "a", 200]
    [fault] = told["faults"]
    assert fault["fault"] == {"status": 503, "for_s": 9, "times": 2}
    assert (fault["until_s"], fault["left"], fault["hits"]) == (9, 2, 0)
    assert told["event_faults"][0]["until_s"] is None
    assert (told["users_total"], told["requests_total"]) == (1, 1)


def test_no_secret_is_told(shown: Shown) -> None:
    shown.beat("bob", more="&auth=s3cr3t&signature=v2.s1gn")

    told = json.dumps(shown.ask())

    assert "auth=" in told
    assert "s3cr3t" not in told
    assert "s1gn" not in told


def test_events_are_told_once_and_all_again_after_a_reset(shown: Shown) -> None:
    shown.beat("bob")
    cursor = shown.ask()["cursor"]
    shown.beat("kim")

    assert [event[3] for event in shown.ask(f"since={cursor}")["events"]] == ["kim"]
    assert shown.ask(f"since={shown.ask()['cursor']}")["events"] == []
    shown.service.reset(None)
    shown.beat("eve")
    for since in (cursor, "x", "x.9", f"{cursor.partition('.')[0]}.-1"):
        assert [e[3] for e in shown.ask(f"since={since}")["events"]] == ["eve"]


def test_an_answer_is_bounded(shown: Shown) -> None:
    for number in range(1200):
        shown.beat(f"u{number}")
    shown.beat("x", channel="b", more="&z=" + "z" * 9000)

    told = shown.ask("channel=a")

    assert (len(told["occupants"]), told["occupants_total"]) == (1000, 1200)
    assert (len(told["events"]), told["events_new"]) == (500, 1201)
    assert (len(told["requests"]), told["requests_total"]) == (100, 1201)
    assert len(told["requests"][0][7]) <= 301
    assert len(json.dumps(told)) < 400_000


def test_one_endless_request_leaves_out_no_other(shown: Shown) -> None:
    """Refused for its length, and kept in the journal by its start."""
    shown.beat("bob")
    shown.beat("x" * 1_000_000)
    shown.service.journal.add(
        attrs.evolve(
            shown.service.journal[0], user_id="y" * 1_000_000, method="Z" * 9999
        )
    )

    assert [row[4][:3] for row in shown.ask()["requests"]] == ["yyy", "xxx", "bob"]
    kept = shown.service.journal[1]
    assert len(kept.query) < 3000 > len(kept.params["uuid"])


def test_the_longest_names_leave_out_others(shown: Shown) -> None:
    for number in range(120):
        shown.beat(f"{number}{'x' * 2000}")

    told = shown.ask("channel=a")

    assert 0 < len(told["occupants"]) < told["occupants_total"] == 120
    assert len(json.dumps(told)) < 1_000_000


def test_the_key_in_use_is_shown_until_another_is_chosen(shown: Shown) -> None:
    assert shown.ask()["subscribe_key"] == "demo"
    shown.beat("bob", key="mine")
    assert shown.ask()["subscribe_key"] == "mine"
    shown.beat("bob")
    assert shown.ask()["subscribe_key"] == "demo"
    shown.beat("eve", key="third")
    told = shown.ask("subscribe_key=mine")
    assert told["subscribe_keys"] == ["demo", "mine", "third"]
    assert [request[4] for request in told["requests"]] == ["bob"]


# What it steers.


async def steer(wire: Any, method: str, path: str) -> Any:
    headers = {"Content-Type": "application/json"}
    status, _, body = await wire.ask(
        f"/_emulator/{path}", method=method, headers=headers
    )
    return status, json.loads(body)


async def test_a_kicked_user_times_out_where_told(
    emulator: PresenceEmulator, wire: Any
) -> None:
    await wire.get(BEAT.format("demo", "a,b,c", "bob", 20))

    status, one = await steer(wire, "POST", "kick?user_id=bob&channel=b")
    assert (status, one) == (200, {"kicked": ["b"]})
    assert (await steer(wire, "POST", "kick?user_id=bob&channel=b"))[1]["kicked"] == []
    assert [event.action for event in emulator.events("b")] == ["join", "timeout"]
    assert emulator.occupants("b") == {}
    assert emulator.kick("bob") == ("a", "c")
    assert [event.action for event in emulator.events("c")] == ["join", "timeout"]
    assert (await steer(wire, "POST", "kick"))[0] == 400


async def test_a_kick_from_an_empty_channel_is_refused(
    emulator: PresenceEmulator, wire: Any
) -> None:
    await wire.get(BEAT.format("demo", "a,b", "bob", 20))

    status, refused = await steer(wire, "POST", "kick?user_id=bob&channel=")
    with pytest.raises(InvalidArgumentError, match="channel"):
        emulator.kick("bob", "")

    assert (status, list(refused)) == (400, ["error"])
    assert refused["error"].startswith("channel: is empty")
    assert emulator.kick("bob") == ("a", "b")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "kick?user_id="),
        ("POST", "kick?user_id=bob&subscribe_key="),
        ("POST", "reset?subscribe_key="),
        ("POST", "lose-messages?subscribe_key="),
        ("POST", "faults?operation=&status=503"),
        ("POST", "faults?status=503&subscribe_key="),
        ("POST", "event-faults?drop=1&channel="),
        ("POST", "restart-timetokens?shift_s="),
        ("POST", "tokens?token="),
        ("DELETE", "tokens?token="),
        ("DELETE", "faults?id="),
        ("DELETE", "event-faults?id="),
        ("GET", "requests?operation="),
        ("GET", "requests?user_id="),
        ("GET", "requests?limit="),
        ("GET", "occupants?channel="),
        ("GET", "events?channel="),
        ("GET", "events?user_id="),
        ("GET", "console?channel="),
    ],
)
async def test_an_empty_parameter_is_never_taken_for_everything(
    emulator: PresenceEmulator, wire: Any, method: str, path: str
) -> None:
    await wire.get(BEAT.format("demo", "a", "bob", 20))
    fault = Fault(operation="time", status=503)
    emulator.inject(fault)

    status, refused = await steer(wire, method, path)

    assert (status, "is empty; give it a value" in refused["error"]) == (400, True)
    assert list(emulator.occupants("a")) == ["bob"]
    assert [event.action for event in emulator.events("a")] == ["join"]


async def test_a_kick_is_not_held_back(wire: Any) -> None:
    profile = EmulatorProfile(debounce_s=5)
    async with PresenceEmulator(profile=profile) as emulator:
        await wire.to(emulator).get(BEAT.format("demo", "a", "bob", 20))

        assert emulator.kick("bob", "a") == ("a",)
        assert emulator.occupants("a") == {}


async def test_time_jumps_in_order_and_goes_on_from_there(
    emulator: PresenceEmulator, wire: Any
) -> None:
    await wire.get(BEAT.format("demo", "a", "late", 40))
    await wire.get(BEAT.format("demo", "a", "soon", 20))
    start_s = emulator.events("a")[0].at_s
    poll = "/v2/subscribe/demo/a-pnpres/0?uuid=eve&tt="
    cursor = (await wire.get(f"{poll}0"))[1]["t"]["t"]

    status, jumped = await steer(wire, "POST", "advance?seconds=30")

    assert (status, jumped) == (200, {"jumped_s": 30})
    left = emulator.events("a")[-1]
    assert (left.action, left.user_id, left.at_s) == ("timeout", "soon", start_s + 20)
    # Nobody asks: the timer alone ends the other presence, 10 s from now.
    jumped_at_s = asyncio.get_running_loop().time()
    _, delivered = await wire.get(f"{poll}{cursor}")
    assert [m["d"]["uuid"] for m in delivered["m"]] == ["soon"]
    _, delivered = await wire.get(f"{poll}{delivered['t']['t']}")
    assert [m["d"]["uuid"] for m in delivered["m"]] == ["late"]
    assert asyncio.get_running_loop().time() - jumped_at_s == pytest.approx(10)
    emulator.advance(0.5)
    for wrong in ("0", "-1", "x", "1e999", "99999999999", ""):
        assert (await steer(wire, "POST", f"advance?seconds={wrong}"))[0] == 400


async def test_one_fault_of_several_is_lifted(
    emulator: PresenceEmulator, wire: Any
) -> None:
    for kind, field in [("faults", "status=50"), ("event-faults", "drop=0.")]:
        made = [
            (await steer(wire, "POST", f"{kind}?{field}{n}"))[1]["id"] for n in (1, 2)
        ]
        _, left = await steer(wire, "DELETE", f"{kind}?id={made[0]}")

        assert len(set(made)) == 2
        assert [list(map(str, fault.values())) for fault in left["faults"]] == [
            ["502"] if kind == "faults" else ["0.2"]
        ]
        assert (await steer(wire, "DELETE", f"{kind}?id=x"))[0] == 400
        assert (await steer(wire, "DELETE", kind))[1] == {"faults": []}
