"""One user's presence: the leases held and the heartbeats they come to.

Pure: no IO, no clock. Leases of one user are views of one presence, so what is sent
for a channel is the shortest timeout of its leases and the state set last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from ...protocol.encoding import encode_name
from ...protocol.heartbeat import HeartbeatOperation
from ...protocol.json_codec import Json, encode_state
from ..lease import Lease, LeaseHealth
from .leaves import HeldNames

__all__ = ["Beat", "UserPresence", "plan_beats"]

Params = tuple[tuple[str, str], ...]
State = Mapping[str, Json]
Key = tuple[bool, str]
"""Whether it is a channel group, and its name."""

_TARGET_BYTES = 8 * 1024
_FIXED_BYTES = 512


@attrs.frozen(kw_only=True)
class Beat:
    """One heartbeat request and the leases it keeps.

    Attributes:
        operation: What to send.
        params: Query parameters beside the config's.
        leases: Whose names, or some of them, it announces.
    """

    operation: HeartbeatOperation
    params: Params
    leases: tuple[Lease, ...]


class UserPresence:
    """The leases of one user, those still joining included.

    Attributes:
        user_id: Who.
        leases: In the order they joined.
        due_s: Loop time of the next heartbeat; ``math.inf``: none planned.
        failures: Failed heartbeats in a row.
        not_before_s: Loop time before which a heartbeat that failed is not repeated.
        is_held: Whether its heartbeat waits for the end of an outage.
        place_s: Loop time of its next regular heartbeat, its place in the interval.
        is_beating: Whether a heartbeat is under way.
        again_by_s: Loop time by which another has to follow the one under way.
        states: States set for single names, by version; they win over older ones.
    """

    __slots__ = (
        "again_by_s",
        "due_s",
        "failures",
        "is_beating",
        "is_held",
        "leases",
        "not_before_s",
        "place_s",
        "states",
        "user_id",
    )

    def __init__(self, user_id: str) -> None:
        self.user_id: str = user_id
        self.leases: list[Lease] = []
        self.due_s: float = math.inf
        self.failures: int = 0
        self.is_beating: bool = False
        self.is_held: bool = False
        self.place_s: float = 0.0
        self.not_before_s: float = 0.0
        self.again_by_s: float = math.inf
        self.states: dict[str, tuple[int, State]] | None = None

    @property
    def joined(self) -> list[Lease]:
        """The leases whose first heartbeat was acknowledged."""
        return [lease for lease in self.leases if lease.is_joined]

    def end_s(self, now_s: float) -> float:
        """Return when the next of the leases runs out, or did where none can be saved.

        Refused leases do not count, since no hurry helps them; ``math.inf`` when there
        are no others.
        """
        ends_s = [
            lease.expires_at_s
            for lease in self.leases
            if lease.is_joined and lease.health is not LeaseHealth.REFUSED
        ]
        ahead_s = [end_s for end_s in ends_s if end_s > now_s]
        return min(ahead_s or ends_s, default=math.inf)

    def held(self) -> HeldNames:
        """Return every name held by a lease that the service has been told of.

        One that still waits to be announced holds nothing: it may never be.
        """
        leases = [x for x in self.leases if x.is_joined or x.is_announced]
        return HeldNames(
            channels=frozenset(c for lease in leases for c in lease.channels),
            channel_groups=frozenset(
                g for lease in leases for g in lease.channel_groups
            ),
        )

    def shorten(self, operation: HeartbeatOperation, expires_at_s: float) -> bool:
        """Let leases end no later than a heartbeat made the names of theirs end.

        Returns:
            Whether one ends sooner than it would have.
        """
        names = {*operation.channels, *operation.channel_groups}
        shortened = [
            lease
            for lease in self.joined
            if lease.expires_at_s > expires_at_s
            and not names.isdisjoint((*lease.channels, *lease.channel_groups))
        ]
        for lease in shortened:
            lease.expires_at_s = expires_at_s
        return bool(shortened)

    def note_state(self, names: Iterable[str], state: State, version: int) -> None:
        """Keep a state for those of the names that are held.

        A lease that is meant as a whole takes it over; the rest is kept by name.
        """
        named = set(names)
        partly: set[str] = set()
        for lease in self.leases:
            own = {*lease.channels, *lease.channel_groups}
            if own <= named:
                lease.keep_state(state, version)
            else:
                partly |= own & named
        kept = dict.fromkeys(partly, (version, state))
        if kept:
            self.states = {**(self.states or {}), **kept}

    def forget_states(self) -> None:
        """Drop the states of names that are no longer held."""
        if self.states is not None:
            kept = {
                name
                for lease in self.leases
                for name in (*lease.channels, *lease.channel_groups)
            }
            self.states = {n: s for n, s in self.states.items() if n in kept} or None


@attrs.define
class _Name:
    """What is to be said about one channel or group."""

    timeout_s: int
    params: Params
    version: int
    state: State | None
    leases: tuple[Lease, ...]


def plan_beats(
    presence: UserPresence,
    subscribe_key: str,
    leases: Iterable[Lease] | None = None,
) -> list[Beat]:
    """Say a user's presence in as few heartbeats as possible.

    Args:
        presence: Whose; timeouts and states are looked up over all its leases.
        subscribe_key: The key set.
        leases: Announce the names of these only; ``None``: of all that have joined.

    Returns:
        One heartbeat for each timeout and set of parameters, split at about 8 KiB.
    """
    wanted = presence.joined if leases is None else list(leases)
    names = _looked_up(presence, wanted)
    groups: dict[tuple[int, Params], dict[Key, _Name]] = {}
    for key, name in names.items():
        groups.setdefault((name.timeout_s, name.params), {})[key] = name
    return [
        _beat(presence.user_id, subscribe_key, part)
        for group in groups.values()
        for part in _split(group)
    ]


def _looked_up(presence: UserPresence, wanted: list[Lease]) -> dict[Key, _Name]:
    names: dict[Key, _Name] = {}
    keys = {key for lease in wanted for key in _keys(lease)}
    # Those that ask to be announced count as holders even before they have joined.
    holders = [lease for lease in presence.leases if lease.is_joined or lease in wanted]
    for lease in holders:
        for key in _keys(lease):
            if key in keys:
                names[key] = _merged(names.get(key), lease)
    for (_, name), entry in names.items():
        version, state = (presence.states or {}).get(name, (-1, None))
        if version > entry.version:
            entry.version, entry.state = version, state
    return names


def _keys(lease: Lease) -> list[Key]:
    channels = [(False, channel) for channel in lease.channels]
    return channels + [(True, group) for group in lease.channel_groups]


def _merged(entry: _Name | None, lease: Lease) -> _Name:
    if entry is None:
        return _Name(
            timeout_s=lease.presence_timeout_s,
            params=lease.params,
            version=lease.state_version if lease.state is not None else -1,
            state=lease.state,
            leases=(lease,),
        )
    entry.leases += (lease,)
    if lease.presence_timeout_s < entry.timeout_s:
        entry.timeout_s, entry.params = lease.presence_timeout_s, lease.params
    if lease.state is not None and lease.state_version > entry.version:
        entry.version, entry.state = lease.state_version, lease.state
    return entry


def _split(
    group: dict[Key, _Name],
) -> list[dict[Key, _Name]]:
    parts: list[dict[Key, _Name]] = [{}]
    size = _FIXED_BYTES
    for key, name in group.items():
        more = _size(key[1], name.state)
        if parts[-1] and size + more > _TARGET_BYTES:
            parts.append({})
            size = _FIXED_BYTES
        parts[-1][key] = name
        size += more
    return parts


def _size(name: str, state: State | None) -> int:
    escaped = len(encode_name(name))
    if state is None:
        return escaped + 3
    return 2 * escaped + 16 + len(encode_name(encode_state(state)))


def _beat(user_id: str, subscribe_key: str, part: dict[Key, _Name]) -> Beat:
    entries = list(part.items())
    first = entries[0][1]
    states = {key[1]: e.state for key, e in entries if e.state is not None}
    leases = {id(lease): lease for _, e in entries for lease in e.leases}
    return Beat(
        operation=HeartbeatOperation(
            subscribe_key=subscribe_key,
            user_id=user_id,
            channels=tuple(name for (is_group, name), _ in entries if not is_group),
            channel_groups=tuple(name for (is_group, name), _ in entries if is_group),
            presence_timeout_s=first.timeout_s,
            state=states or None,
        ),
        params=first.params,
        leases=tuple(leases.values()),
    )
