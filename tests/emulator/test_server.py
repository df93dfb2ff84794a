"""The emulator over real sockets: bytes in, bytes out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from typing import Any

import pytest

from presence_async import DeadlineError, PresenceClient
from presence_async.emulator import Fault, PresenceEmulator

BASE = "/v2/presence/sub-key/demo"


async def exchange(emulator: PresenceEmulator, data: bytes) -> bytes:
    """Send bytes and read whatever comes."""
    host, port = emulator.origin.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    answer = b""
    try:
        # An unfinished request is waited for; in virtual time that takes none.
        async with asyncio.timeout(3600):
            while more := await reader.read(65_536):
                answer += more
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
        # Otherwise its socket is still open when the event loop of the test ends.
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answer


async def get(emulator: PresenceEmulator, target: str) -> tuple[int, Any]:
    """Ask as any HTTP client would; returns status and body."""
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    head, _, body = (await exchange(emulator, request.encode())).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def beat(
    emulator: PresenceEmulator, channels: str, user: str, more: str = ""
) -> None:
    target = f"{BASE}/channel/{channels}/heartbeat?uuid={user}&heartbeat=20{more}"
    status, body = await get(emulator, target)
    assert (status, body) == (
        200,
        {"message": "OK", "service": "Presence", "status": 200},
    )


async def test_here_now_has_the_shape_the_request_asks_for(
    emulator: PresenceEmulator,
) -> None:
    await beat(emulator, "a,b", "bob", '&state={"a":{"x":1}}')
    await beat(emulator, "a", "eve")

    assert (await get(emulator, f"{BASE}/channel/a"))[1] == {
        "message": "OK",
        "occupancy": 2,
        "service": "Presence",
        "status": 200,
        "uuids": ["bob", "eve"],
    }
    assert (await get(emulator, f"{BASE}/channel/a?state=1&limit=1"))[1]["uuids"] == [
        {"uuid": "bob", "state": {"x": 1}}
    ]
    assert (await get(emulator, f"{BASE}/channel/a?offset=1"))[1]["uuids"] == ["eve"]
    past = (await get(emulator, f"{BASE}/channel/a?offset=9"))[1]
    assert (past["uuids"], past["occupancy"]) == ([], 2)
    assert "uuids" not in (await get(emulator, f"{BASE}/channel/a?disable_uuids=1"))[1]
    assert "uuids" not in (await get(emulator, f"{BASE}/channel/a?limit=0"))[1]
    assert (await get(emulator, f"{BASE}/channel/a,empty"))[1]["payload"] == {
        "channels": {"a": {"occupancy": 2, "uuids": ["bob", "eve"]}},
        "total_channels": 1,
        "total_occupancy": 2,
    }
    everywhere = (await get(emulator, BASE))[1]["payload"]
    assert (everywhere["total_channels"], everywhere["total_occupancy"]) == (2, 3)


async def test_both_spellings_of_the_path_are_served(
    emulator: PresenceEmulator,
) -> None:
    await beat(emulator, "a", "bob")

    status, body = await get(emulator, "/v2/presence/sub_key/demo/uuid/bob")

    assert (status, body["payload"]) == (200, {"channels": ["a"]})


@pytest.mark.parametrize(
    ("escaped", "name"),
    [
        ("a%2Fb", "a/b"),
        ("a%3Fb", "a?b"),
        ("a%23b", "a#b"),
        ("a%252Fb", "a%2Fb"),
        ("a+b%20c", "a+b c"),
        ("%E6%97%A5%E6%9C%AC", "日本"),
    ],
)
async def test_odd_names_arrive_as_that_name(
    emulator: PresenceEmulator, escaped: str, name: str
) -> None:
    await beat(emulator, escaped, escaped)

    assert set(emulator.occupants(name)) == {name}
    _, body = await get(emulator, f"{BASE}/uuid/{escaped}")
    assert body["payload"]["channels"] == [name]


async def test_replies_are_ascii_with_the_services_headers(
    emulator: PresenceEmulator,
) -> None:
    await beat(emulator, "%C3%BC", "bob")

    raw = await exchange(emulator, f"GET {BASE}/uuid/bob HTTP/1.0\r\n\r\n".encode())

    assert raw.isascii()
    assert b"\\u00fc" in raw
    assert b'content-type: text/javascript; charset="utf-8"' in raw.lower()


async def test_time_is_one_timetoken() -> None:
    async with PresenceEmulator(clock=lambda: 1757969619.3377821) as emulator:
        status, body = await get(emulator, "/time/0")

    assert (status, len(str(body[0]))) == (200, 17)


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        (f"{BASE}/channel/a/heartbeat", 400, "Invalid uuid"),
        (f"{BASE}/channel/a/uuid/b/data?uuid=b", 400, "No state specified."),
        (f"{BASE}/channel/a?limit=1001", 400, "Invalid limit"),
        (f"{BASE}/channel/a?offset=-1", 400, "Invalid offset"),
        (f"{BASE}/channel/%zz", 400, "broken percent-escape"),
        (f"{BASE}/channel/..", 400, "path segment"),
        ("/v2/presence/other", 404, "Not found: '/v2/presence/other'"),
        (f"{BASE}/channel/{'x' * 33_000}", 414, "Request URI Too Long"),
    ],
    ids=["uuid", "state", "limit", "offset", "escape", "dots", "path", "long"],
)
async def test_invalid_requests_are_refused_with_a_status(
    emulator: PresenceEmulator, target: str, status: int, message: str
) -> None:
    found, body = await get(emulator, target)

    assert found == body.get("status", 404) == status
    assert message in body["message"]


async def test_users_time_out_exactly_at_their_deadline(
    emulator: PresenceEmulator,
) -> None:
    began_s = asyncio.get_running_loop().time()
    await beat(emulator, "a", "bob", "&state={}")

    await asyncio.sleep(19.9)
    before = set(emulator.occupants("a"))
    await asyncio.sleep(1)

    assert before == {"bob"}
    join, timeout = emulator.events("a")
    assert (join.action, join.occupancy) == ("join", 1)
    assert (timeout.action, timeout.occupancy) == ("timeout", 0)
    assert timeout.at_s == pytest.approx(began_s + 20)


async def test_subscribe_keys_share_nothing(
    emulator: PresenceEmulator,
) -> None:
    await get(emulator, "/v2/presence/sub-key/other/channel/a/heartbeat?uuid=eve")

    assert dict(emulator.occupants("a")) == {}
    assert set(emulator.occupants("a", subscribe_key="other")) == {"eve"}


async def test_the_journal_keeps_every_request(emulator: PresenceEmulator) -> None:
    await get(emulator, f"{BASE}/channel/a,b?channel-group=g&uuid=bob&x=%2B")
    await get(emulator, "/nowhere")

    first, second = emulator.requests
    assert (first.operation, first.channels, first.channel_groups) == (
        "here now",
        ("a", "b"),
        ("g",),
    )
    assert (first.user_id, first.params["x"]) == ("bob", "+")
    assert (second.operation, second.path) == ("", "/nowhere")
    assert emulator.requests.total == 2
    assert emulator.requests[-1:] == [second]
    assert emulator.requests[::-1] == [second, first]
    assert "2 requests" in repr(emulator.requests)


async def test_reset_forgets_everything(emulator: PresenceEmulator) -> None:
    await beat(emulator, "a", "bob")
    emulator.inject(Fault(status=500))

    emulator.reset()

    assert dict(emulator.occupants("a")) == {}
    assert emulator.requests.total == 0
    assert (await get(emulator, BASE))[0] == 200


async def test_a_short_timeout_is_raised_to_the_minimum() -> None:
    async with PresenceEmulator(min_presence_timeout_s=60) as emulator:
        await beat(emulator, "a", "bob")
        await asyncio.sleep(30)

        assert set(emulator.occupants("a")) == {"bob"}


async def test_caches_answer_the_same_url_with_its_age() -> None:
    async with PresenceEmulator(here_now_cache_s=3, heartbeat_cache_s=3) as emulator:
        empty = await get(emulator, f"{BASE}/channel/a?uuid=x")
        await beat(emulator, "a", "bob")
        cached = await get(emulator, f"{BASE}/channel/a?uuid=x")
        await asyncio.sleep(2)
        raw = await exchange(
            emulator, f"GET {BASE}/channel/a?uuid=x HTTP/1.0\r\n\r\n".encode()
        )
        await asyncio.sleep(2)
        fresh = await get(emulator, f"{BASE}/channel/a?uuid=x")

    assert empty == cached
    assert b"age: 2" in raw.lower()
    assert fresh[1]["occupancy"] == 1


async def test_the_here_now_cache_answers_the_client_as_the_real_one_may(
    presence_leak_check: None,
) -> None:
    async with (
        PresenceEmulator(here_now_cache_s=3, secret_key="sec-c-x") as emulator,
        PresenceClient(emulator.config(secret_key="sec-c-x")) as client,
    ):
        await client.here_now("lobby")
        await client.heartbeat("lobby", user_id="bob")
        await asyncio.sleep(1.5)
        other_question = await client.here_now("lobby", include_state=True)
        cached = await client.here_now("lobby")
        await asyncio.sleep(1.6)
        fresh = await client.here_now("lobby")

    assert cached.total_occupancy == 0
    assert other_question.total_occupancy == fresh.total_occupancy == 1


async def test_the_heartbeat_cache_answers_the_very_same_url_only() -> None:
    async with PresenceEmulator(heartbeat_cache_s=3) as emulator:
        beat = f"{BASE}/channel/a/heartbeat?uuid=bob"
        await get(emulator, f"{beat}&requestid=1")
        await get(emulator, f"{BASE}/channel/a/leave?uuid=bob")
        await get(emulator, f"{beat}&requestid=1")
        after_the_same = dict(emulator.occupants("a"))
        await get(emulator, f"{beat}&requestid=2")

        assert after_the_same == {}
        assert set(emulator.occupants("a")) == {"bob"}


async def test_a_cached_heartbeat_is_sent_again(
    presence_leak_check: None,
) -> None:
    async with PresenceEmulator() as emulator:
        body = b'{"status":200,"message":"OK","service":"Presence"}'
        async with PresenceClient(emulator.config()) as client:
            emulator.inject(Fault(operation="heartbeat", body=body, times=1, age_s=3))
            await client.join("lobby")

            assert len(emulator.requests.of("heartbeat")) == 2
            assert set(emulator.occupants("lobby")) == {"tester"}


async def test_an_effect_takes_place_though_the_client_hung_up(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=5))
    host, port = emulator.origin.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    request = f"GET {BASE}/channel/a/heartbeat?uuid=bob HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(request.encode())
    await asyncio.sleep(1)
    writer.close()

    await asyncio.sleep(10)

    assert set(emulator.occupants("a")) == {"bob"}


async def test_closing_waits_for_no_stalled_request(presence_leak_check: None) -> None:
    emulator = await PresenceEmulator().start()
    emulator.inject(Fault(delay_s=float("inf")))
    waiting = asyncio.create_task(get(emulator, BASE))
    await asyncio.sleep(1)
    began_s = asyncio.get_running_loop().time()

    await emulator.close()
    await asyncio.wait({waiting})

    assert asyncio.get_running_loop().time() - began_s < 1
    assert isinstance(waiting.exception(), (IndexError, OSError))
    with pytest.raises(RuntimeError, match="not listening"):
        _ = emulator.origin


async def test_a_taken_port_is_an_error(emulator: PresenceEmulator) -> None:
    port = int(emulator.origin.split(":")[1])
    assert emulator.url == f"http://127.0.0.1:{port}"

    with pytest.raises(OSError, match="address"):
        await PresenceEmulator(port=port).start()


@pytest.mark.parametrize("path", ["/", "/time/0", f"{BASE}/channel/a/leave?uuid=bob"])
async def test_other_methods_are_not_allowed_but_recorded(
    emulator: PresenceEmulator, path: str
) -> None:
    await beat(emulator, "a", "bob")
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    raw = await exchange(emulator, head.encode())

    assert raw.startswith(b"HTTP/1.1 405")
    assert set(emulator.occupants("a")) == {"bob"}
    assert [entry.method for entry in emulator.requests] == ["GET", "POST"]


async def test_a_slow_client_is_waited_for(emulator: PresenceEmulator) -> None:
    host, port = emulator.origin.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for byte in f"GET {BASE}/uuid/bob HTTP/1.1\r\nHost: x\r\n\r\n".encode():
        writer.write(bytes([byte]))
        await asyncio.sleep(5)

    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()


async def test_a_crash_of_the_emulator_is_logged_as_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def clock() -> float:
        raise ZeroDivisionError

    async with PresenceEmulator(clock=clock) as emulator:
        raw = await exchange(emulator, b"GET /time/0 HTTP/1.0\r\n\r\n")

    assert raw.startswith(b"HTTP/1.0 500")
    assert [r.levelname for r in caplog.records] == ["ERROR"]


async def test_the_log_holds_no_secrets(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "presence_async.emulator")
    target = f"{BASE}/uuid/b?auth=hidden&signature=v2.hidden"
    for asked in (target, "/_emulator/tokens?token=hidden"):
        await exchange(emulator, f"GET {asked} HTTP/1.0\r\n\r\n".encode())

    assert [record.getMessage() for record in caplog.records] == [
        f"200 {BASE}/uuid/b?auth=***&signature=***",
        "404 /_emulator/tokens",
    ]


async def test_the_log_tells_which_connections_are_cut(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "presence_async.emulator")
    emulator.inject(Fault(cut=True))

    raw = await exchange(emulator, b"GET /time/0 HTTP/1.0\r\n\r\n")

    assert raw == b""
    assert [record.getMessage() for record in caplog.records] == ["cut /time/0"]


async def test_a_request_that_is_never_answered_is_forgotten_with_its_client(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    emulator.inject(Fault(operation="where now", delay_s=math.inf))
    before = len(asyncio.all_tasks())

    for _ in range(3):
        with pytest.raises(DeadlineError):
            await client.where_now(timeout_s=1)
    await asyncio.sleep(1)

    assert len(asyncio.all_tasks()) == before
