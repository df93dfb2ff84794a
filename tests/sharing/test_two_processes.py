"""One presence, several processes: who beats, who leaves; promise 17."""

from __future__ import annotations

import asyncio

from .scene import Scene


async def test_closing_one_of_two_tabs_is_seen_by_nobody(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice")
    await two.join("alice")

    await one.leave("alice")
    await asyncio.sleep(600)

    assert scene.seen() == ["alice join"]


async def test_the_last_of_two_tabs_leaves_once(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice")
    await two.join("alice")

    await one.leave("alice")
    await two.leave("alice")

    assert scene.seen() == ["alice join", "alice leave"]
    assert scene.sent("leave", "alice") == 1


async def test_only_one_process_sends_heartbeats(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    leases = [await one.join("alice"), await two.join("alice")]
    await asyncio.sleep(300)
    before = scene.sent("heartbeat", "alice")

    await asyncio.sleep(149 * 10)

    assert scene.sent("heartbeat", "alice") - before in {9, 10, 11}
    for lease in leases:
        assert lease.health == "fresh"
        assert lease.remaining_s > 140
    stats = [x.client.heartbeats.stats().register for x in (one, two)]
    assert [(x.leading, x.following) for x in stats if x] in (
        [(1, 0), (0, 1)],
        [(0, 1), (1, 0)],
    )


async def test_who_joins_alone_leads_from_the_first_heartbeat_on(scene: Scene) -> None:
    one = await scene.start()
    await one.join("alice")

    stats = one.client.heartbeats.stats().register

    assert stats is not None
    assert (stats.leading, stats.following) == (1, 0)
