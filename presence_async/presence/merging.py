"""What is wanted of a user, said in as few heartbeats as possible.

Leases of one user are views of one presence: for each name the shortest timeout of its
claims counts, and the state that was set last through any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from ..protocol.encoding import encode_name
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.json_codec import encode_state
from .claims import Claim, Name, Params, State, channels_of, groups_of, text_of

__all__ = ["Beat", "Wanted", "merged", "wanted"]

_TARGET_BYTES = 8 * 1024
_FIXED_BYTES = 512

States = Mapping[Name, tuple[int, State]]


@attrs.define(eq=False)
class Wanted:
    """What the claims of a user want of one name.

    Attributes:
        timeout_s: The shortest timeout.
        params: Of the claim with the shortest timeout.
        version: Of the newest state; -1 if nothing is to be said about state.
        state: The newest state.
        claims: The claims that hold the name.
    """

    timeout_s: int
    params: Params
    version: int
    state: State | None
    claims: list[Claim]

    def join(self, claim: Claim) -> None:
        """Take in another claim on the name."""
        self.claims.append(claim)
        if claim.presence_timeout_s < self.timeout_s:
            self.timeout_s, self.params = claim.presence_timeout_s, claim.params
        version, state = _state_of(claim)
        if version > self.version:
            self.version, self.state = version, state


@attrs.frozen(eq=False)
class Beat:
    """One heartbeat request.

    Attributes:
        names: What it announces.
        operation: The request.
        params: Query parameters beside the client's.
        versions: For each name the version of the state it carries.
        claims: Whose names, or some of them, it announces.
    """

    names: tuple[Name, ...]
    operation: HeartbeatOperation
    params: Params
    versions: tuple[int, ...]
    claims: tuple[Claim, ...]


def wanted(claims: Iterable[Claim], states: States) -> dict[Name, Wanted]:
    """Return what a user's claims want, name by name.

    Args:
        claims: In the order they came.
        states: States set for single names by ``client.set_state``, with versions.
    """
    table: dict[Name, Wanted] = {}
    for claim in claims:
        for name in claim.names:
            entry = table.get(name)
            if entry is None:
                version, state = _state_of(claim)
                table[name] = Wanted(
                    claim.presence_timeout_s, claim.params, version, state, [claim]
                )
            else:
                entry.join(claim)
    for name, (version, state) in states.items():
        entry = table.get(name)
        if entry is not None and version > entry.version:
            entry.version, entry.state = version, state
    return table


def merged(
    subscribe_key: str,
    user_id: str,
    table: Mapping[Name, Wanted],
    refused: Iterable[Name] = (),
) -> list[Beat]:
    """Say a table of names in as few heartbeats as possible.

    Names share a request if they agree on timeout and parameters, up to 8 KiB. Names
    that were refused travel apart from the others, which they would take down.
    """
    apart = set(refused)
    groups: dict[tuple[int, Params, bool], dict[Name, Wanted]] = {}
    for name, entry in table.items():
        key = (entry.timeout_s, entry.params, name in apart)
        groups.setdefault(key, {})[name] = entry
    return [
        _beat(subscribe_key, user_id, part)
        for group in groups.values()
        for part in _split(group)
    ]


def _state_of(claim: Claim) -> tuple[int, State | None]:
    source = claim.extends or claim
    if source.state is None:
        return -1, None
    return source.state_version, source.state


def _split(group: dict[Name, Wanted]) -> list[dict[Name, Wanted]]:
    if len(group) == 1:
        return [group]
    parts: list[dict[Name, Wanted]] = [{}]
    size = _FIXED_BYTES
    for name, entry in group.items():
        more = _size(text_of(name), entry.state)
        if parts[-1] and size + more > _TARGET_BYTES:
            parts.append({})
            size = _FIXED_BYTES
        parts[-1][name] = entry
        size += more
    return parts


def _size(name: str, state: State | None) -> int:
    escaped = len(encode_name(name))
    if state is None:
        return escaped + 3
    return 2 * escaped + 16 + len(encode_name(encode_state(state)))


def _beat(subscribe_key: str, user_id: str, part: dict[Name, Wanted]) -> Beat:
    entries = list(part.values())
    states = {
        text_of(name): entry.state
        for name, entry in part.items()
        if entry.state is not None
    }
    return Beat(
        names=tuple(part),
        operation=HeartbeatOperation(
            subscribe_key=subscribe_key,
            user_id=user_id,
            channels=channels_of(part),
            channel_groups=groups_of(part),
            presence_timeout_s=entries[0].timeout_s,
            state=states or None,
        ),
        params=entries[0].params,
        versions=tuple(entry.version for entry in entries),
        claims=tuple(dict.fromkeys(c for entry in entries for c in entry.claims)),
    )
