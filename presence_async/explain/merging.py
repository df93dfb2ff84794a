"""Facts of one kind that follow each other, told as one."""

from __future__ import annotations

import msgspec

from .facts import Asked, Back, Fact, Failed, Lost

__all__ = ["end_of", "merge", "merged"]

_AT_ONCE_S = 1.0
_SAME_S = 3600.0
"""Failures an hour apart are two stories."""


def end_of(fact: Fact) -> float:
    """Return when the latest of what a fact tells happened."""
    return max(fact.at, fact.last) if isinstance(fact, (Failed, Asked)) else fact.at


def merge(facts: list[Fact], fact: Fact) -> bool:
    """Add a fact to one before it, if they are of one kind; return True then.

    Failures of several requests alternate, so other failures may stand between them.
    """
    for place in range(len(facts) - 1, -1, -1):
        both = merged(facts[place], fact)
        if both is not None:
            facts[place] = both
            return True
        if not isinstance(facts[place], Failed):
            return False
    return False


def merged(last: Fact, fact: Fact) -> Fact | None:
    """Return one fact for two that follow each other, if they are of one kind."""
    if isinstance(last, (Lost, Back)) and isinstance(fact, (Lost, Back)):
        # Several leases of one user on the same names.
        is_same = (type(last), last.names, last.run) == (
            type(fact),
            fact.names,
            fact.run,
        )
        return last if is_same and fact.at - last.at < _AT_ONCE_S else None
    if not isinstance(last, (Failed, Asked)) or not isinstance(fact, (Failed, Asked)):
        return None
    if _kind(last) != _kind(fact) or fact.at - (last.last or last.at) > _SAME_S:
        return None
    if isinstance(last, Failed) and isinstance(fact, Failed) and not _same(last, fact):
        return None
    both: dict[str, float] = {
        "times": last.times + fact.times,
        "last": fact.last or fact.at,
    }
    if isinstance(last, Failed) and isinstance(fact, Failed):
        both["sent"] = last.sent or fact.sent
        both["acted_by"] = max(last.acted_by, fact.acted_by)
        both["timeout_s"] = max(last.timeout_s, fact.timeout_s)
    return msgspec.structs.replace(last, **both)


def _same(last: Failed, fact: Failed) -> bool:
    """Return False if a heartbeat was acknowledged or the presence ran out between."""
    return abs(last.until - fact.until) < _AT_ONCE_S and last.gone == fact.gone


def _kind(fact: Failed | Asked) -> tuple[object, ...]:
    """Return what two facts have in common that are told as one."""
    kind = (type(fact), fact.run, fact.what, fact.names, fact.status)
    return (*kind, fact.why, fact.is_refused) if isinstance(fact, Failed) else kind
