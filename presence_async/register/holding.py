"""The rules of a register for whoever is held: ``hold``, ``claim``, ``beaten``. Pure.

This is the reference: the memory and SQLite registers run it, ``holding_scripts`` says
the same in Lua, and a test holds them against each other.
"""

from __future__ import annotations

from .record import NEVER, Entry, Record, ms, seconds
from .values import CALM, UNKNOWN, Beaten, Claimed, Claiming, Holding, Standing

__all__ = ["beaten", "claim", "hold"]


def hold(
    record: Record, worker_id: str, life: int, holding: Holding, now: int
) -> tuple[Standing, ...]:
    """Let a worker hold names; whatever lingers is not left then."""
    for wish in holding.wishes:
        if wish.timeout_s:
            record.want(worker_id, life, wish)
        if wish.name in record.names:
            record.set_state(record.names[wish.name], worker_id, wish, now)
    if any(wish.timeout_s for wish in holding.wishes):
        record.renew(record.holders[worker_id], now)
    return tuple(
        record.standing(wish.name, worker_id, now)
        for wish in holding.wishes
        if wish.name in record.names
    )


def claim(
    record: Record,
    worker_id: str,
    life: int,
    claiming: Claiming,
    *,
    attempt_s: float,
    now: int,
) -> Claimed:
    """Take the turn if any name is due, then for all names: one heartbeat has room.

    Whoever announced a name last has the turn whenever it asks. Others get it an
    interval later, unless a heartbeat may be on its way.
    """
    mine = record.holders.get(worker_id)
    if mine is None or mine.life != life:
        return UNKNOWN
    record.renew(mine, now)
    attempt, interval = ms(attempt_s), ms(claiming.interval_s)
    free = [
        _free(record, name, worker_id, interval=interval, attempt=attempt, now=now)
        for name in mine.wishes
    ]
    is_due = min(free, default=now) <= now
    if is_due:
        for name in mine.wishes:
            entry = record.names[name]
            entry.claimed, entry.claimer = now + attempt, worker_id
    if is_due and not any(_has_part(record, x, worker_id, now) for x in mine.wishes):
        return CALM
    names = tuple(record.standing(name, worker_id, now) for name in mine.wishes)
    if is_due:
        return Claimed(names=names)
    return Claimed(is_due=False, names=names, next_s=seconds(min(free) - now))


def beaten(record: Record, worker_id: str, said: Beaten, now: int) -> tuple[str, ...]:
    """Note an acknowledged heartbeat; return the names of which it said too little.

    Since it was sent another worker may have wanted a shorter timeout, or set a
    newer state.
    """
    sent, behind = now - ms(said.age_s), []
    versions = said.versions or (-1,) * len(said.names)
    for name, version in zip(said.names, versions, strict=True):
        entry = record.names.get(name)
        if entry is None:
            continue
        if entry.claimer == worker_id:
            entry.claimed, entry.claimer = NEVER, ""
        if sent >= entry.beat or entry.beat > now:
            entry.beat, entry.beater = sent, worker_id
            entry.timeout, entry.said = said.timeout_s, version
        if record.others(name, "", now) and record.is_behind(name, entry, now):
            behind.append(name)
    return tuple(behind)


def _free(
    record: Record, name: str, worker_id: str, *, interval: int, attempt: int, now: int
) -> int:
    """Return when it is a worker's turn to announce a name."""
    entry, due = record.names.setdefault(name, Entry()), now
    is_by_other = entry.beater != worker_id and NEVER < entry.beat <= now
    if is_by_other and not record.is_behind(name, entry, now):
        half = ms(max(entry.timeout / 2 - 1, 0.5))
        due = entry.beat + min(interval, half)
    is_claimed = now < entry.claimed <= now + attempt
    if is_claimed and entry.claimer != worker_id:
        due = max(due, entry.claimed)
    return due


def _has_part(record: Record, name: str, worker_id: str, now: int) -> bool:
    """Return True if anybody else holds a name, or has set its state."""
    entry = record.names[name]
    is_others = entry.version != -1 and entry.author != worker_id
    return is_others or record.others(name, worker_id, now) > 0
