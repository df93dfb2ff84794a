"""No header of an answer breaks a call: numbers and dates of every shape."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import string
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from presence_async import NoRetry, PresenceClient, PresenceConfig, UnavailableError
from presence_async.client import wall_clock
from presence_async.protocol.envelope import whole_seconds
from presence_async.testing import VirtualLoop

BUSY = b'{"status":503,"error":true,"message":"busy"}'
OK = b'{"status":200,"message":"OK","service":"Presence"}'
LONGEST_S = 2**31


def shown(text: str) -> str:
    """Return an id for a test's parameter."""
    return f"{ascii(text)[:40]} {len(text)}"


# A text and the seconds it means.
NUMBERS: dict[str, float | None] = {
    "": None,
    "0": 0,
    "0020": 20,
    "20": 20,
    " 20 ": 20,
    "20, 30": 20,
    "2147483649": LONGEST_S,
    "9" * 400: LONGEST_S,
    "9" * 5000: LONGEST_S,
    "-20": None,
    "+20": None,
    "2.5": None,
    "2e3": None,
    "1_0": None,
    "٣": None,  # a digit that is not ASCII
    "²": None,
    "inf": None,
    "nan": None,
    "0x20": None,
}


@pytest.mark.parametrize("text", NUMBERS, ids=shown)
def test_only_ascii_digits_are_seconds(text: str) -> None:
    assert whole_seconds(text) == NUMBERS[text]


@given(st.text())
@example("9" * 5000)
def test_seconds_in_any_text_are_a_bounded_number_or_none(text: str) -> None:
    seconds = whole_seconds(text)

    assert seconds is None or 0 <= seconds <= LONGEST_S


def seconds_until(text: str) -> float | None:
    """Ask in virtual time, since dates are compared with the wall clock."""

    async def ask() -> float | None:
        return wall_clock.seconds_until(text)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(ask())


INVALID_DATES = [
    "",
    "tomorrow",
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 2030 99999999999999999999:00:00 GMT",
    "Mon, 01 Jan 2030 00:00:00 +99999999999999999999",
    "Mon, 01 Jan 2030 00:00:00 -9999",
    "Mon, 99999999999999999999 Jan 2030 00:00:00 GMT",
    "Mon, 32 Jan 2030 00:00:00 GMT",
    "Mon, 01 Jan -2030 00:00:00 GMT",
    "Mon, 01 Jan 2030 00:00:0\N{ARABIC-INDIC DIGIT THREE} GMT",
    "Mon, 01 Jan 2030 " + "9" * 5000,
]


@pytest.mark.parametrize("text", INVALID_DATES, ids=shown)
def test_a_date_that_cannot_be_is_none(text: str) -> None:
    assert seconds_until(text) is None


@given(
    st.one_of(
        st.text(),
        st.text(alphabet=string.digits + " ,:+-GMT"),
        st.builds(
            "Mon, {} Jan {} {}:{}:{} {}".format,
            *[st.integers(-(10**20), 10**20)] * 5,
            st.sampled_from(["GMT", "-0000", "+9999", "-2400", "EST", "+" + "9" * 30]),
        ),
    )
)
@example("Mon, 01 Jan 1 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_any_text_is_a_finite_time_or_none(text: str) -> None:
    seconds = seconds_until(text)

    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


FORMATS = {
    "with a zone": "%a, %d %b %Y %H:%M:%S GMT",
    "of asctime": "%a %b %d %H:%M:%S %Y",
    "unknown zone": "%a, %d %b %Y %H:%M:%S -0000",
    "of RFC 850": "%A, %d-%b-%y %H:%M:%S GMT",
}


@pytest.mark.parametrize("name", FORMATS)
async def test_a_date_without_a_zone_is_utc(in_new_york: None, name: str) -> None:
    moment = dt.datetime.fromtimestamp(round(wall_clock.now_s()) + 20, tz=dt.UTC)

    seconds = wall_clock.seconds_until(moment.strftime(FORMATS[name]))

    assert seconds == pytest.approx(20, abs=1)


# The same through a whole call, both ways to the wire.

Ask = Callable[[int, bytes, str], Awaitable[int]]


@pytest.fixture(params=["direct", "session"])
async def answered_with(
    request: pytest.FixtureRequest, presence_leak_check: None
) -> AsyncIterator[Ask]:
    """Send a heartbeat to a service that answers so; returns how many it got."""
    answer = b""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = PresenceConfig(
        subscribe_key="demo",
        user_id="bob",
        origin=f"http://127.0.0.1:{port}",
        retry=NoRetry(),
    )

    async def ask(status: int, body: bytes, header: str) -> int:
        nonlocal answer
        length = f"Content-Length: {len(body)}"
        head = "\r\n".join([f"HTTP/1.1 {status} X", length, header, "", ""])
        answer = head.encode() + body
        if request.param == "direct":
            async with PresenceClient(config) as client:
                await client.heartbeat("lobby")
        else:
            async with (
                aiohttp.ClientSession() as session,
                PresenceClient(config, session=session) as client,
            ):
                await client.heartbeat("lobby")
        return requests

    yield ask
    server.close()


@pytest.mark.parametrize(
    "text",
    [*filter(None, NUMBERS), *filter(None, INVALID_DATES)],
    ids=shown,
)
async def test_no_retry_after_hides_what_the_service_said(
    answered_with: Ask, text: str
) -> None:
    with pytest.raises(UnavailableError, match="busy") as caught:
        await answered_with(503, BUSY, f"Retry-After: {text}")

    waits_s = caught.value.retry_after_s
    assert waits_s is None or 0 <= waits_s <= LONGEST_S


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("-20", 1),
        ("2.5", 1),
        ("nan", 1),
        ("٣", 1),  # a digit that is not ASCII
        ("20, 30", 2),
        ("9" * 400, 2),
        ("9" * 5000, 2),
    ],
    ids=lambda value: shown(str(value)),
)
async def test_an_answer_of_any_age_is_asked_for_again(
    answered_with: Ask, text: str, requests: int
) -> None:
    assert await answered_with(200, OK, f"Age: {text}") == requests
