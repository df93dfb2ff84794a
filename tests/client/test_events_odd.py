"""Replies that no service should send: a stream takes what can be taken."""

from __future__ import annotations

import asyncio
import json

import pytest

from presence_async import JoinEvent, PresenceClient, StreamHealth, UnknownEvent

from .subscribe_service import Asked, Say, SubscribeService, read, read_all, users

GOOD = b'{"action":"join","uuid":"amy","timestamp":1700000000,"occupancy":1}'


def message(service: SubscribeService, payload: bytes) -> bytes:
    head = {"c": "lobby-pnpres", "p": {"t": str(service.now_tt()), "r": 1}}
    return json.dumps(head).encode()[:-1] + b',"d":' + payload + b"}"


def once(service: SubscribeService, *messages: bytes) -> None:
    """Answer the next poll with messages, the others as usual."""

    def script(asked: Asked) -> Say | None:
        if asked.is_handshake or service.script is not script:
            return None
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        cursor = f'{{"t":"{service.now_tt()}","r":1}}'.encode()
        return Say(b'{"t":' + cursor + b',"m":[' + b",".join(messages) + b"]}")

    service.script = script


ODD_PAYLOADS = [
    b"null",
    b"5",
    b'"text"',
    b"[]",
    b"{}",
    b'{"action":"join"}',
    b'{"action":"join","uuid":5,"timestamp":1,"occupancy":1}',
    b'{"action":"new-kind","timestamp":1,"occupancy":1}',
    b'{"action":"join","uuid":"\\ud800","timestamp":1,"occupancy":1}',
    b'{"action":"join","uuid":"amy","timestamp":-1,"occupancy":-1}',
    b'{"action":"join","uuid":"amy","timestamp":1e99,"occupancy":1}',
    b"[" * 3000 + b"]" * 3000,
    b'"\xff"',
]


@pytest.mark.parametrize("payload", ODD_PAYLOADS)
async def test_a_bad_event_spoils_no_other(
    watcher: PresenceClient, service: SubscribeService, payload: bytes
) -> None:
    once(service, message(service, payload), message(service, GOOD))
    async with watcher.events("lobby") as stream:
        events = await read(stream, 2)
        service.publish("lobby", "bob")
        later = await read(stream, 1)

        assert stream.health is StreamHealth.LIVE
    assert isinstance(events[0], UnknownEvent)
    assert isinstance(events[1], JoinEvent)
    assert users(later) == ["bob"]


@pytest.mark.parametrize("odd", [b"null", b"5", b"{}", b'{"c":5}', b'{"c":"x","d":1}'])
async def test_what_is_no_message_reaches_everybody_as_unknown(
    watcher: PresenceClient, service: SubscribeService, odd: bytes
) -> None:
    async with watcher.events("lobby") as one, watcher.events("news") as other:
        await asyncio.sleep(1)
        once(service, odd)
        service.publish("lobby", "ignored")
        await asyncio.sleep(1)
        service.publish("news", "bob")
        await asyncio.sleep(1)
        ours, others = await read_all(one), await read_all(other)

    assert any(isinstance(event, UnknownEvent) for event in ours)
    assert isinstance(others[0], UnknownEvent)
    assert users(others)[-1] == "bob"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b'{"t":{"t":"1"}}',
        b'{"t":{"t":"x","r":1},"m":[]}',
        b'{"t":{"t":"-5","r":1},"m":[]}',
        b'{"t":{"t":"99999999999999999999","r":1},"m":[]}',
        b'{"t":null,"m":[]}',
        b'{"status":503,"error":true,"message":"down"}',
        b"\xff\xfe",
        b'{"t":{"t":"5","r":1},"m":' + b"[" * 5000,
    ],
)
async def test_an_odd_body_is_asked_for_again_and_loses_nothing(
    watcher: PresenceClient, service: SubscribeService, body: bytes
) -> None:
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        service.script = lambda asked: None if asked.is_handshake else Say(body)
        service.publish("lobby", "amy")
        await asyncio.sleep(60)
        assert len(service.asked) < 120
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        await asyncio.sleep(15)

        assert users(await read_all(stream)) == ["amy"]
        assert stream.health is StreamHealth.LIVE
