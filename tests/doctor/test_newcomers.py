"""Each fault of a newcomer is one line, which says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from presence_async import ConnectError, InvalidArgumentError
from presence_async.cli.findings import closing_line, line
from presence_async.client.transport import Transport
from presence_async.doctor.examination import examine
from presence_async.doctor.finding import Verdict
from presence_async.doctor.verification import verify
from presence_async.emulator import Fault, Grant, PresenceEmulator
from presence_async.protocol.exchange import HttpReply, HttpRequest

PORTAL = "Admin Portal (admin.pubnub.com)"


def an_hour_ahead() -> float:
    """The clock of a service, as a machine sees it whose own clock is behind."""
    read: Callable[[], float] = asyncio.get_running_loop().wall_time  # type: ignore[attr-defined]
    return read() + 3600


async def nothing(_: PresenceEmulator) -> None:
    pass


async def expire(emulator: PresenceEmulator) -> None:
    emulator.grant("t", Grant(channels="*", for_s=1))
    await asyncio.sleep(2)


async def revoke(emulator: PresenceEmulator) -> None:
    emulator.grant("t", Grant(channels="*"))
    emulator.revoke("t")


async def stall(emulator: PresenceEmulator) -> None:
    emulator.inject(Fault(operation="time", delay_s=float("inf")))


async def close(emulator: PresenceEmulator) -> None:
    await emulator.close()


async def bind(emulator: PresenceEmulator) -> None:
    emulator.grant("t", Grant(channels="*", user_id="tester"))


async def only_lobby(emulator: PresenceEmulator) -> None:
    emulator.grant("t", Grant(channels="lobby"))


@attrs.frozen(kw_only=True)
class Newcomer:
    """What is wrong, and what the one line says."""

    service: dict[str, Any] = attrs.field(factory=dict)
    config: dict[str, Any] = attrs.field(factory=dict)
    before: Callable[[PresenceEmulator], Awaitable[None]] = nothing
    says: str


NEWCOMERS = {
    "wrong key": Newcomer(
        service={"subscribe_keys": ["sub-c-right"]},
        config={"subscribe_key": "sub-c-wrong"},
        says="✗ keys the service does not know the subscribe key 'sub-c-wrong' → copy"
        f" it from the keyset in the {PORTAL} to PUBNUB_SUBSCRIBE_KEY",
    ),
    "Presence off": Newcomer(
        service={"presence": False},
        says="✗ presence Presence is off for this keyset → turn on the Presence add-on"
        f" of the keyset in the {PORTAL}",
    ),
    "untracked channel": Newcomer(
        service={"tracked_channels": ["news"]},
        says="✗ tracking presence is not tracked on lobby: heartbeats are acknowledged"
        " and nobody is present → add a rule that matches lobby in Presence Management"
        " in the Admin Portal",
    ),
    "closed port": Newcomer(
        before=close,
        says="✗ connection {url} refuses connections → check the port and that the"
        " service runs; a firewall may close the port",
    ),
    "closed proxy": Newcomer(
        config={"proxy": "http://127.0.0.1:9"},
        says="✗ connection the proxy on the way to {url} refuses connections → check"
        " the proxy (PUBNUB_PROXY) and that it runs",
    ),
    "stalled port": Newcomer(
        before=stall,
        says="✗ connection {url} does not answer within 10 s → let a firewall or proxy"
        " on the way pass this address",
    ),
    "no TLS": Newcomer(
        config={"origin": "https://{origin}"},
        says="✗ connection {url} does not speak TLS → write http://{host}, or"
        " choose another port",
    ),
    "no such host": Newcomer(
        config={"origin": "no-such-host.invalid"},
        says="✗ name no-such-host.invalid cannot be found → check the origin for typing"
        " errors, and this machine's DNS and network",
    ),
    "no token": Newcomer(
        service={"access_manager": True},
        says="✗ access Access Manager is on, and there is no token → get a token from"
        " your server, and give it as PUBNUB_AUTH",
    ),
    "expired token": Newcomer(
        config={"auth": "t"},
        before=expire,
        says="✗ token the token is expired → get a new one from your server, and give"
        " it as PUBNUB_AUTH",
    ),
    "revoked token": Newcomer(
        config={"auth": "t"},
        before=revoke,
        says="✗ token the token is revoked → get a new one from your server, and give"
        " it as PUBNUB_AUTH",
    ),
    "token of one user": Newcomer(
        config={"auth": "t"},
        before=bind,
        says="✗ token refused: heartbeat, events, leave, channel groups; allowed: here"
        " now, where now, set state, get state → use a token that is not bound to"
        " one user (authorized_uuid)",
    ),
    "token without events": Newcomer(
        config={"auth": "t"},
        before=only_lobby,
        says="! token refused: events, channel groups; allowed: heartbeat, here now,"
        " where now, set state, get state, leave → grant read on lobby-pnpres, manage"
        " on the group",
    ),
    "wrong clock": Newcomer(
        service={"secret_key": "sec-c-1", "clock": an_hour_ahead},
        says="✗ clock 3600.0 s behind the service's; signed requests are refused above"
        " 60 s → set the clock of this machine by NTP",
    ),
    "no secret key": Newcomer(
        service={"secret_key": "sec-c-right"},
        config={"secret_key": None},
        says="✗ keys this key set wants signed requests, and there is no secret key →"
        " set PUBNUB_SECRET_KEY and PUBNUB_PUBLISH_KEY",
    ),
    "wrong secret key": Newcomer(
        service={"secret_key": "sec-c-right"},
        config={"secret_key": "wrong"},  # a word of the sentence, which stays
        says="✗ keys the signature is wrong → check that PUBNUB_SECRET_KEY and"
        " PUBNUB_PUBLISH_KEY belong to this subscribe key",
    ),
}


@pytest.mark.parametrize("name", NEWCOMERS)
async def test_a_fault_of_a_newcomer_is_one_line(name: str) -> None:
    case = NEWCOMERS[name]
    async with PresenceEmulator(**case.service) as emulator:
        settings = dict(case.config)
        if "origin" in settings:
            settings["origin"] = settings["origin"].format(origin=emulator.origin)
        config = emulator.config(**settings)
        await case.before(emulator)
        report = await examine(config, "lobby", is_quick=True)

    told = [
        " ".join(line(finding).split())
        for finding in report.findings
        if finding.verdict in {Verdict.PROBLEM, Verdict.WARNING}
        and finding.name != "descriptors"
    ]
    url = config.base_url
    assert told == [case.says.format(url=url, host=url.rpartition("/")[2])]
    assert report.has_problems is case.says.startswith("✗")


async def test_nothing_is_wrong_with_a_sound_keyset(emulator: PresenceEmulator) -> None:
    report = await examine(emulator.config(), "lobby", is_quick=True)

    verdicts = {f.verdict for f in report.findings if f.name != "descriptors"}
    assert verdicts == {Verdict.OK}


async def test_nothing_is_wrong_with_a_keyset_that_wants_signatures() -> None:
    async with PresenceEmulator(secret_key="sec-c-right") as emulator:
        report = await examine(emulator.config(), "lobby", is_quick=True)

    verdicts = {f.verdict for f in report.findings if f.name != "descriptors"}
    assert verdicts == {Verdict.OK}
    assert closing_line(report).startswith("nothing keeps presence from working; ")


@pytest.mark.parametrize("channel", ["a,b", "a.*", "a-pnpres", ""])
async def test_a_channel_that_is_none_is_refused(
    emulator: PresenceEmulator, channel: str
) -> None:
    for asked in (
        examine(emulator.config(), channel),
        verify(emulator.config(), channel=channel),
    ):
        with pytest.raises(InvalidArgumentError, match=r"^channel"):
            await asked
    assert emulator.requests.total == 0


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (
            "ConnectionTimeoutError",
            "cannot be reached (ConnectionTimeoutError) → check network, firewall and"
            " proxy (PUBNUB_PROXY)",
        ),
        (
            "ClientConnectorCertificateError: certificate has expired",
            "has a certificate that is not trusted (ClientConnectorCertificateError:"
            " certificate has expired) → check this machine's clock; behind a proxy"
            " that inspects TLS, trust its certificate by"
            " PresenceConfig(ssl_context=)",
        ),
    ],
)
async def test_what_no_test_can_bring_about_has_its_line_too(
    emulator: PresenceEmulator,
    monkeypatch: pytest.MonkeyPatch,
    cause: str,
    words: str,
) -> None:
    async def fails(_: Transport, __: HttpRequest) -> HttpReply:
        raise ConnectError("no connection could be made", cause=cause)

    monkeypatch.setattr(Transport, "send", fails)
    report = await examine(emulator.config(), is_quick=True)

    (told,) = [line(f) for f in report.findings if f.verdict is Verdict.PROBLEM]
    assert told.endswith(f"http://{emulator.origin} {words}")
