"""The place on the wire of a request whose first attempt needed no task."""

from __future__ import annotations

import asyncio

import pytest

from presence_async.client.direct_connection import DirectConnection, OnEnd

from .test_direct_connections import HEAD, Service, service, then_closed, written

__all__ = ["service"]

REFUSAL = b'{"status":403,"error":1,"message":"Forbidden","service":"Access Manager"}'
OK = b'{"status":200,"message":"OK","service":"Presence"}'
REFUSED = HEAD.replace(b"200 OK", b"403 Forbidden") % len(REFUSAL) + b"\r\n" + REFUSAL
ACKNOWLEDGED = HEAD % len(OK) + b"\r\n" + OK


async def test_a_token_provider_that_hangs_after_a_refusal_holds_nobody_else_back(
    service: Service,
) -> None:
    asked: list[str] = []

    async def token(user_id: str) -> str:
        asked.append(user_id)
        if asked.count(user_id) > 1:
            await asyncio.get_running_loop().create_future()
        return f"token of {user_id}"

    async with service.client(auth=token, max_beats_in_flight=1) as client:
        service.scripts = [written(x) for x in (ACKNOWLEDGED, REFUSED, ACKNOWLEDGED)]
        await client.heartbeat("lobby")

        refused = asyncio.create_task(client.heartbeat("lobby"))
        await asyncio.sleep(1)
        assert asked == ["bob", "bob"]
        async with asyncio.timeout(2):
            await client.heartbeat("lobby", user_id="ann")

        refused.cancel()
        await asyncio.wait({refused})
        places = client._core.heartbeats.engine.places
        assert (places._taken, places._parked) == (0, set())


async def test_a_repeat_on_a_new_connection_counts_in_the_rate(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    times_s: list[float] = []
    ask = DirectConnection.ask

    def timed_ask(connection: DirectConnection, request: bytes, on_end: OnEnd) -> None:
        times_s.append(asyncio.get_running_loop().time())
        ask(connection, request, on_end)

    monkeypatch.setattr(DirectConnection, "ask", timed_ask)
    async with service.client(max_requests_per_s=1) as client:
        service.scripts = [
            written(ACKNOWLEDGED),
            then_closed(b""),
            written(ACKNOWLEDGED),
        ]
        await client.heartbeat("lobby")
        # Not given back to the connector yet, and the rate allows another request.
        await asyncio.sleep(1.5)
        await client.heartbeat("lobby")

    _, lost_s, repeated_s = times_s
    assert repeated_s - lost_s >= 1
