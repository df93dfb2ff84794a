"""Tests that replay a real keyset from files, recorded once by vcrpy.

PUBNUB_SUBSCRIBE_KEY=sub-c-... python -m pytest examples/test_replay.py    # records
python -m pytest examples/test_replay.py         # replays, without key or network

Delete ``cassettes`` to record again. The key, tokens and signatures are in no file.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import vcr

from presence_async import PresenceClient, PresenceConfig

KEY = os.environ.get("PUBNUB_SUBSCRIBE_KEY", "demo")


def without_key(request: Any) -> Any:  # noqa: ANN401  # vcrpy's
    request.uri = request.uri.replace(KEY, "demo")
    return request


def without_key_in_body(response: dict[str, Any]) -> dict[str, Any]:
    body = response["body"]
    body["string"] = body["string"].replace(KEY.encode(), b"demo")
    return response


recorder = vcr.VCR(
    cassette_library_dir=str(Path(__file__).with_name("cassettes")),
    record_mode="once" if "PUBNUB_SUBSCRIBE_KEY" in os.environ else "none",
    match_on=["method", "path", "query"],
    filter_query_parameters=["auth", "signature", "timestamp", "requestid", "pnsdk"],
    before_record_request=without_key,
    before_record_response=without_key_in_body,
    decode_compressed_response=True,
)


@pytest_asyncio.fixture
async def client(request: pytest.FixtureRequest) -> AsyncIterator[PresenceClient]:
    config = PresenceConfig.from_env(subscribe_key=KEY, user_id="tester")
    with recorder.use_cassette(f"{request.node.name}.yaml"):
        # vcrpy sees what goes through a given session, and nothing else.
        async with (
            aiohttp.ClientSession() as session,
            PresenceClient(config, session=session) as client,
        ):
            yield client


@pytest.mark.asyncio
async def test_who_is_here(client: PresenceClient) -> None:
    async with client.join("lobby", state={"mood": "ok"}):
        here = await client.here_now("lobby", include_state=True)
    assert here.channels["lobby"].user_ids == ("tester",)
