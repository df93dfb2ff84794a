"""Joins: the first heartbeat of a claim, and what is taken back when it fails."""

from __future__ import annotations

from typing import Any

from ..errors import LeaseReleasedError
from . import difference, health, leaving, order_queue, rounds
from .claims import FRESH, Claim, LeaveOrigin, Order, Patience
from .listing import Ask
from .merging import Beat
from .user import UserTable
from .wire import Acknowledged, Failed, Outcome, Send

__all__ = ["acknowledged", "dismiss", "next_send", "note_heard", "take_back"]


def next_send(user: UserTable, order: Order, now_s: float) -> Send | Ask | None:
    """Return a heartbeat for names of the joining claim alone.

    The first heartbeat travels alone, so that a refusal is about this claim and
    nothing else.
    """
    claim = order.its_claim
    sharing = user.shared.sharing
    # First: whoever is about to leave the names has to know.
    ask = None if sharing is None else sharing.ask_hold(user, order, now_s)
    if ask is not None:
        return ask
    beats = _beats_of(user, claim, order.parts)
    if not beats:
        if claim in user.claims:
            _joined(user, order, now_s)
        else:
            order_queue.finish(user, order, LeaseReleasedError())
        return None
    order.parts = [beat.names for beat in beats]
    order.is_announced = True
    return order_queue.send(user, order, beats[0].operation, now_s, beats[0])


def _beats_of(user: UserTable, claim: Claim, parts: list[Any] | None) -> list[Beat]:
    if parts is None and user.claims == (claim,):
        return difference.beats(user, None, claim)
    names = set(claim.names)
    if parts is not None:
        names &= {name for part in parts for name in part}
    return difference.beats(user, names, claim)


def note_heard(order: Order, outcome: Outcome) -> None:
    """Note whether the service may have applied a heartbeat of a join."""
    order.was_heard |= isinstance(outcome, Acknowledged) or (
        isinstance(outcome, Failed) and outcome.has_effect
    )
    order.is_announced = order.was_heard


def acknowledged(
    user: UserTable, order: Order, send: Send, answer: Acknowledged, now_s: float
) -> None:
    """Note an acknowledged heartbeat of a join; the last one begins the claim."""
    if send.beat is not None:
        user.tell(send.beat, answer, order.its_claim.names)
    order.parts = order.parts[1:]
    if order.parts:
        # Other claims may hold some of the names.
        health.update(user, now_s)
    else:
        _joined(user, order, now_s)


def _joined(user: UserTable, order: Order, now_s: float) -> None:
    claim, error = order.its_claim, None
    # It may have been left meanwhile; then its names are left after it.
    if claim in user.claims:
        leaving.drop_names(user, claim.channels, claim.channel_groups)
        if claim.extends is None:
            health.begin(user, claim, now_s)
        elif claim.extends in user.claims:
            _extend(user, claim, claim.extends)
        else:
            error = LeaseReleasedError()
            dismiss(user, claim, now_s)
        _hasten_next(user, claim, now_s)
    rounds.place(user, now_s)
    health.update(user, now_s)
    difference.catch_up(user, now_s)
    order_queue.finish(user, order, error)


def _hasten_next(user: UserTable, claim: Claim, now_s: float) -> None:
    """Make the next heartbeat due an interval after the first one was sent, at most.

    The time that its answer took, or that the machine slept meanwhile, is gone.
    """
    timeout_s = claim.presence_timeout_s
    counts_from_s = user.expires_s(claim) - timeout_s
    interval_s = user.shared.settings.interval_s(timeout_s)
    user.expect(max(now_s, counts_from_s + interval_s))
    listing = user.listing
    if listing is not None and counts_from_s < listing.repeat_s:
        # A leave that another worker has sent may have overtaken it.
        user.hasten(max(now_s, listing.repeat_s))


def _extend(user: UserTable, claim: Claim, lease: Claim) -> None:
    """Let a lease take over the names that were added to it.

    The claim keeps those that are new to the lease, and a health, in case its caller
    was cancelled in this very moment and they have to be taken back.
    """
    user.drop(claim)
    claim.channels = tuple(c for c in claim.channels if c not in lease.channels)
    claim.health = FRESH
    lease.channels += claim.channels


def dismiss(user: UserTable, claim: Claim, now_s: float) -> None:
    """Take back a claim whose join failed or was cancelled."""
    if claim not in user.claims:
        return
    is_heard = user.has_heard(claim)
    user.drop(claim)
    user.forget_unwanted()
    difference.catch_up(user, now_s)
    if is_heard:
        _leave(user, claim, claim.channels, claim.channel_groups, now_s)


def take_back(user: UserTable, claim: Claim, now_s: float) -> None:
    """Leave what a claim has joined, or what it has added to its lease."""
    held = claim.extends or claim
    if claim.is_joined and held in user.claims:
        names = (claim.channels, claim.channel_groups)
        health.let_go(user, [held], *names, now_s)
        _leave(user, claim, *names, now_s)


def _leave(
    user: UserTable,
    claim: Claim,
    channels: tuple[str, ...],
    channel_groups: tuple[str, ...],
    now_s: float,
) -> None:
    settings = user.shared.settings
    patience = Patience(now_s, now_s + settings.close_timeout_s, settings.retry)
    until_s = now_s + claim.presence_timeout_s
    order = leaving.leave(
        user, channels, channel_groups, claim.params, patience, until_s=until_s
    )
    order.origin = LeaveOrigin.UNDONE
