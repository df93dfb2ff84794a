"""The control path: what local programs may do, and who is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from presence_async.emulator import PresenceEmulator
from presence_async.emulator.control import Control, ControlRequest
from presence_async.emulator.options import Options
from presence_async.emulator.service import Service
from presence_async.protocol.exchange import HttpReply, HttpRequest

JSON = {"content-type": "application/json"}
OWN_PAGE = {
    "host": "127.0.0.1:8080",
    "origin": "http://127.0.0.1:8080",
    "sec-fetch-site": "same-origin",
}
REBOUND = {"host": "evil.example:8080", "origin": "http://evil.example:8080"}
BEAT = "/v2/presence/sub-key/demo/channel/a/heartbeat?uuid=bob&heartbeat=20"


class Steering:
    """A service and its control path, without sockets."""

    def __init__(self) -> None:
        self.service = Service(Options(), clock=lambda: 0.0)
        self.control = Control(self.service, "demo")

    def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        peer: str = "127.0.0.1",
        target_host: str | None = None,
    ) -> tuple[int, Any]:
        path, _, query = target.partition("?")
        reply = self.control.answer(
            ControlRequest(
                method=method,
                http=HttpRequest(path=f"/_emulator/{path}", query=query),
                headers=JSON | (headers or {}),
                peer=peer,
                target_host=target_host,
                body=body if isinstance(body, bytes) else json.dumps(body).encode(),
            ),
            now_s=0,
        )
        assert "access-control-allow-origin" not in reply.headers
        return reply.status, json.loads(reply.body)

    def beat(self, target: str = BEAT) -> int:
        path, _, query = target.partition("?")
        pending = self.service.receive(HttpRequest(path=path, query=query), now_s=0)
        reply = self.service.reply(pending, now_s=0)
        assert isinstance(reply, HttpReply)
        return reply.status


@pytest.fixture
def control() -> Steering:
    return Steering()


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("faults", {"operation": "heartbeat", "status": 503, "times": 1}),
        ("faults?operation=heartbeat&status=503&times=1", None),
        ("faults?operation=heartbeat", {"status": 503, "times": 1}),
    ],
    ids=["body", "query", "both"],
)
def test_faults_are_injected_listed_and_removed(
    control: Steering, target: str, body: Any
) -> None:
    said = {"operation": "heartbeat", "status": 503, "times": 1}

    assert control.ask("POST", target, body) == (200, {"injected": said, "id": 1})
    assert control.ask("GET", "faults") == (200, {"faults": [said]})
    assert [control.beat(), control.beat()] == [503, 200]
    assert control.ask("GET", "faults") == (200, {"faults": []})
    control.ask("POST", "faults", {"status": 500})
    control.ask("DELETE", "faults")
    assert control.beat() == 200


def test_event_faults_are_injected_listed_and_removed(control: Steering) -> None:
    said = {"drop": 0.5, "channel": "a"}

    assert control.ask("POST", "event-faults?drop=0.5", {"channel": "a"}) == (
        200,
        {"injected": said, "id": 1},
    )
    assert control.ask("GET", "event-faults") == (200, {"faults": [said]})
    assert control.ask("DELETE", "event-faults") == (200, {"faults": []})
    assert control.ask("GET", "event-faults") == (200, {"faults": []})


def test_messages_are_lost_and_timetokens_restarted(control: Steering) -> None:
    log = control.service.keyset("demo").feed._log
    control.beat()
    assert list(log.channels())

    assert control.ask("POST", "lose-messages") == (200, {"lost": "every key"})
    assert not list(log.channels())
    control.beat(BEAT.replace("uuid=bob", "uuid=kim"))
    kept = list(log.channels())
    control.ask("POST", "lose-messages?subscribe_key=other")
    assert list(log.channels()) == kept

    answers = [
        control.ask("POST", f"restart-timetokens{query}")
        for query in ("", "?shift_s=5", "?shift_s=x", "?shift_s=1e999")
    ]
    assert answers[:2] == [(200, {"shift_s": -3600.0}), (200, {"shift_s": 5})]
    assert [status for status, _ in answers[2:]] == [400, 400]
    assert not list(log.channels())


def test_a_fault_hits_every_key_unless_one_is_named(control: Steering) -> None:
    control.ask("POST", "faults?subscribe_key=other", {"status": 500})
    named = control.beat(), control.beat(BEAT.replace("demo", "other"))
    control.ask("POST", "faults", {"status": 502})
    every = control.beat(), control.beat(BEAT.replace("demo", "other"))

    assert named == (200, 500)
    assert every == (502, 502)


def test_occupants_events_and_requests_can_be_read(control: Steering) -> None:
    control.beat(BEAT + '&state={"a":{"x":1}}')
    control.beat("/nowhere")

    assert control.ask("GET", "occupants?channel=a") == (
        200,
        {"channel": "a", "occupants": {"bob": {"x": 1}}},
    )
    _, events = control.ask("GET", "events?channel=a")
    assert [event["action"] for event in events["events"]] == ["join"]
    _, requests = control.ask("GET", "requests")
    assert requests["total"] == 2
    assert requests["requests"][0]["params"]["uuid"] == "bob"
    _, beats = control.ask(
        "GET", "requests?operation=heartbeat&subscribe_key=demo&limit=1"
    )
    assert [entry["operation"] for entry in beats["requests"]] == ["heartbeat"]
    assert control.ask("GET", "requests?limit=0")[1]["requests"] == []
    assert (
        control.ask("GET", "occupants?channel=a&subscribe_key=x")[1]["occupants"] == {}
    )


def test_a_reset_forgets_one_key_or_all(control: Steering) -> None:
    control.beat()
    control.beat(BEAT.replace("demo", "other"))
    control.ask("POST", "reset?subscribe_key=demo")

    assert control.ask("GET", "occupants?channel=a")[1]["occupants"] == {}
    other = "occupants?channel=a&subscribe_key=other"
    assert control.ask("GET", other)[1]["occupants"] == {"bob": {}}
    control.ask("POST", "reset")
    assert control.ask("GET", other)[1]["occupants"] == {}
    assert control.ask("GET", "requests")[1]["total"] == 0


def test_tokens_are_granted_and_revoked(control: Steering) -> None:
    granted = control.ask("POST", "tokens?token=t", [{"channels": ["a"]}])
    statuses = [control.beat(), control.beat(BEAT + "&auth=t")]
    control.ask("DELETE", "tokens?token=t")

    assert granted == (200, {"granted": 1})
    assert [*statuses, control.beat(BEAT + "&auth=t")] == [403, 200, 403]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "words"),
    [
        ("POST", "faults", {"operation": "beat"}, 400, "heartbeat"),
        ("POST", "faults", [1], 400, "JSON object"),
        ("POST", "event-faults", {"drop": 2}, 400, "drop"),
        ("POST", "event-faults", {"drip": 1}, 400, "knows no"),
        ("POST", "faults", b"{", 400, "must be JSON"),
        ("POST", "faults", b"\xff", 400, "must be JSON"),
        ("POST", "faults", b"[" * 99_999, 400, "must be JSON"),
        ("POST", "faults?status=%zz", None, 400, "percent-escape"),
        ("POST", "tokens", {"channels": "a"}, 400, "token: is missing"),
        ("POST", "tokens?token=t", {"channels": 1}, 400, "grant"),
        ("POST", "tokens?token=t", None, 400, "grant"),
        ("POST", "tokens?token=t", [7], 400, "grant"),
        ("GET", "occupants", None, 400, "channel: is missing"),
        ("GET", "requests?limit=-1", None, 400, "limit"),
        ("GET", "nothing", None, 404, "POST /_emulator/faults"),
        ("PUT", "faults", {}, 404, "unknown method or path"),
        ("OPTIONS", "faults", None, 404, "unknown method or path"),
    ],
)
def test_invalid_control_requests_are_refused(
    control: Steering, method: str, target: str, body: Any, status: int, words: str
) -> None:
    found, said = control.ask(method, target, body)

    assert found == status
    assert words in json.dumps(said)


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.9.9.9", {"host": "localhost:8080"}, 200),
        ("::1", {"host": "[::1]:8080"}, 200),
        ("::1", {"host": "[::1]"}, 200),
        ("::ffff:127.0.0.1", {"host": "127.0.0.1:1"}, 200),
        ("127.0.0.1", {"sec-fetch-site": "none"}, 200),
        ("127.0.0.1", OWN_PAGE, 200),
        ("192.168.0.7", OWN_PAGE, 403),
        ("192.168.0.7", {}, 403),
        ("::ffff:10.0.0.1", {}, 403),
        ("", {}, 403),
        ("127.0.0.1", {"host": "evil.example"}, 403),
        ("127.0.0.1", {"host": "evil.example:8080"}, 403),
        ("127.0.0.1", {"host": "localhost.evil.example"}, 403),
        ("127.0.0.1", {"host": "localhost:1, evil.example"}, 403),
        ("127.0.0.1", {"host": "localhost:evil.example"}, 403),
        ("127.0.0.1", {"origin": "http://evil.example"}, 403),
        ("127.0.0.1", {"origin": "null"}, 403),
        ("127.0.0.1", {"host": "localhost:1", "origin": "http://localhost:2"}, 403),
        ("127.0.0.1", OWN_PAGE | {"sec-fetch-site": "same-site"}, 403),
        ("127.0.0.1", REBOUND, 403),
        ("127.0.0.1", {"sec-fetch-site": "cross-site"}, 403),
        ("127.0.0.1", {"content-type": "text/plain"}, 415),
        ("127.0.0.1", {"content-type": "application/x-www-form-urlencoded"}, 415),
        ("127.0.0.1", {"content-type": ""}, 415),
    ],
)
def test_only_programs_on_this_machine_may(
    control: Steering, peer: str, headers: dict[str, str], status: int
) -> None:
    found, _ = control.ask("POST", "reset", headers=headers, peer=peer)

    assert found == status


@pytest.mark.parametrize(
    ("target_host", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8080", 200),
        ("LocalHost", "localhost", 200),
        ("::1", "[::1]:8080", 200),
        ("evil.example", "localhost", 403),
        ("localhost", "evil.example", 403),
        ("%6c", "localhost", 403),
        ("192.168.0.7", "localhost", 403),
    ],
)
def test_a_host_in_the_target_must_be_loopback_beside_the_host_header(
    control: Steering, target_host: str, host: str, status: int
) -> None:
    headers = {"host": host}

    found, _ = control.ask("POST", "reset", headers=headers, target_host=target_host)

    assert found == status


async def test_it_works_over_http(emulator: PresenceEmulator, wire: Any) -> None:
    status, headers, _ = await wire.ask(
        "/_emulator/faults",
        method="POST",
        body=b'{"status": 503, "times": 1}',
        headers={"Content-Type": "application/json"},
    )
    beats = [(await wire.ask(BEAT))[0] for _ in range(2)]

    assert (status, headers["content-type"]) == (200, "application/json")
    assert beats == [503, 200]
    assert emulator.requests.total == 2


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\n\r\n{",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "Content-Length: 9999999\r\n\r\n" + "x" * 2_000_000,
        "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ids=["short", "chunk", "large", "expect"],
)
async def test_broken_bodies_are_not_logged_as_errors(
    wire: Any, caplog: pytest.LogCaptureFixture, head: str
) -> None:
    start = (
        "POST /_emulator/faults HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\nConnection: close\r\n"
    )
    said = await wire.exchange((start + head).encode())

    assert not said.startswith(b"HTTP/1.1 5")
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []
