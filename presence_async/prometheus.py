"""Metrics of presence clients for Prometheus; needs the extra ``prometheus``.

``REGISTRY.register(collector(client))`` once, before the client is used, is all it
takes; whatever serves the registry then serves these. Labels have few values: none
names a user or a channel.
"""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Iterable

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from .client.client import PresenceClient
from .client.feed.listener import StreamHealth
from .client.lease import LeaseChange, LeaseHealth
from .client.observed import (
    HeartbeatFinished,
    LoopBlocked,
    RequestFinished,
    StreamChange,
)

__all__ = ["PresenceCollector", "collector"]

_DURATION_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LATENESS_S = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60)
_HELD = "subscribe"  # a poll without events is held for minutes


def collector(client: PresenceClient, *more: PresenceClient) -> PresenceCollector:
    """Return a collector of the metrics of one client, or of several as a sum.

    A registry takes one: give it all clients of the process. Requests and heartbeats
    count from here on, leases and streams include those already held.

    Args:
        client: A client, started or not.
        more: Others.
    """
    return PresenceCollector((client, *more))


class PresenceCollector(Collector):
    """Counts as an observer and answers scrapes, from any thread.

    A scrape costs the same whatever the number of users, except that with a register
    it looks at each of them once.

    Args:
        clients: Whom to observe.
    """

    def __init__(self, clients: Iterable[PresenceClient]) -> None:
        self._clients = tuple(clients)
        self._lock = threading.Lock()
        self._leases: Counts[LeaseHealth] = Counts()
        self._streams: Counts[StreamHealth] = Counts()
        self._requests = Counter(
            "presence_requests",
            "Requests to the service that have ended, repetitions included.",
            ("operation", "outcome"),
            registry=None,
        )
        self._retries = Counter(
            "presence_request_retries",
            "Of these, repetitions of a request that had failed.",
            ("operation",),
            registry=None,
        )
        self._durations = Histogram(
            "presence_request_duration_seconds",
            "Seconds from sending a request to its end; polls for events left out.",
            ("operation",),
            buckets=_DURATION_S,
            registry=None,
        )
        self._heartbeats = Counter(
            "presence_heartbeats",
            "Heartbeats that have ended, by whether the service acknowledged them.",
            ("acknowledged",),
            registry=None,
        )
        self._lateness = Histogram(
            "presence_heartbeat_lateness_seconds",
            "Seconds between when a heartbeat was due and when it was sent.",
            buckets=_LATENESS_S,
            registry=None,
        )
        self._blocked = Counter(
            "presence_loop_blocked_seconds",
            "Seconds for which the event loop did not run when a heartbeat was due.",
            registry=None,
        )
        self._slept = Counter(
            "presence_machine_slept_seconds",
            "Seconds for which the machine slept while the client was open.",
            registry=None,
        )
        for client in self._clients:
            client.add_observer(self)

    # As an observer.

    def request_finished(self, record: RequestFinished) -> None:
        """Count a request."""
        operation = record.operation
        self._requests.labels(operation, record.outcome.value).inc()
        if record.attempt > 1:
            self._retries.labels(operation).inc()
        if operation != _HELD:
            self._durations.labels(operation).observe(record.duration_s)

    def heartbeat_finished(self, record: HeartbeatFinished) -> None:
        """Count a heartbeat."""
        is_acknowledged = record.error is None and not record.age_s
        self._heartbeats.labels("true" if is_acknowledged else "false").inc()
        self._lateness.observe(record.lateness_s)

    def lease_changed(self, record: LeaseChange) -> None:
        """Count a lease where it is now."""
        with self._lock:
            if record.previous is not None:
                self._leases[record.previous] -= 1
            if record.health is not LeaseHealth.RELEASED:
                self._leases[record.health] += 1

    def stream_changed(self, record: StreamChange) -> None:
        """Count a stream where it is now."""
        with self._lock:
            if record.previous is not None:
                self._streams[record.previous] -= 1
            if record.health is not StreamHealth.CLOSED:
                self._streams[record.health] += 1

    def loop_blocked(self, record: LoopBlocked) -> None:
        """Count lost seconds."""
        self._blocked.inc(record.blocked_s)
        self._slept.inc(record.slept_s)

    # As a collector.

    def describe(self) -> Iterable[Metric]:
        """Return the metrics, by which a registry refuses a second collector."""
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        counted = (
            *(self._requests, self._retries, self._durations, self._heartbeats),
            *(self._lateness, self._blocked, self._slept),
        )
        for metric in counted:
            yield from metric.collect()
        with self._lock:
            leases, streams = self._leases.copy(), self._streams.copy()
        yield _by_health(
            "presence_leases",
            "Leases held, by health; refused and lost ones are shown offline.",
            {x.value: leases[x] for x in LeaseHealth if x is not LeaseHealth.RELEASED},
        )
        yield _by_health(
            "presence_streams",
            "Event streams, rosters and live counts that are open, by health.",
            {x.value: streams[x] for x in StreamHealth if x is not StreamHealth.CLOSED},
        )
        yield from self._of_registers()

    def _of_registers(self) -> Iterable[Metric]:
        found = (client.heartbeats.register_stats() for client in self._clients)
        stats = [register for register in found if register is not None]
        if not stats:
            return
        up = GaugeMetricFamily(
            "presence_register_up", "Whether every register answers: 1 or 0."
        )
        up.add_metric((), float(all(register.is_up for register in stats)))
        users = GaugeMetricFamily(
            "presence_register_users",
            "Users by role: led by this process, by another one, or about to leave.",
            labels=("role",),
        )
        for role in ("leading", "following", "lingering"):
            users.add_metric((role,), sum(getattr(each, role) for each in stats))
        unasked = CounterMetricFamily(
            "presence_register_unasked_heartbeats",
            "Heartbeats sent without asking whose turn it was: the register was away.",
        )
        unasked.add_metric((), sum(register.unasked for register in stats))
        yield from (up, users, unasked)


def _by_health(name: str, text: str, counts: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("health",))
    for health, count in counts.items():
        family.add_metric((health,), count)
    return family
