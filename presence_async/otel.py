"""OpenTelemetry spans and a histogram: ``pip install 'presence-async[opentelemetry]'``.

``PresenceClient(config, observers=[otel.observer()])`` makes one span of each request,
by the conventions for HTTP clients. Only the API is needed; without an SDK nothing is
recorded. Neither paths nor queries are, which hold user IDs, channels and tokens.
"""

from __future__ import annotations

import time

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from .client.observed import RequestFinished

__all__ = ["SpanObserver", "observer"]

_SCOPE = "presence_async"
_NS_PER_S = 1_000_000_000
_DURATION_S = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
)


def observer(
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    with_polls: bool = False,
) -> SpanObserver:
    """Return an observer that makes a span of each request.

    The span of a call is a child of the span in which the call was made. What the
    client does by itself, such as regular heartbeats, begins a trace of its own.

    Args:
        tracer_provider: Where spans go; ``None``: the global provider.
        meter_provider: Where ``http.client.request.duration`` goes, likewise.
        with_polls: Whether to include polls for events, which the service holds for
            minutes and which are repeated for ever.

    Source: OpenTelemetry's semantic conventions for HTTP client spans and metrics.
    """
    return SpanObserver(
        trace.get_tracer(_SCOPE, tracer_provider=tracer_provider),
        metrics.get_meter(_SCOPE, meter_provider=meter_provider),
        with_polls=with_polls,
    )


class SpanObserver:
    """Makes a span of each request, when it has ended.

    Args:
        tracer: Makes the spans.
        meter: Makes the histogram.
        with_polls: Whether polls for events have spans.
    """

    def __init__(
        self, tracer: trace.Tracer, meter: metrics.Meter, *, with_polls: bool
    ) -> None:
        self._tracer = tracer
        self._with_polls = with_polls
        self._durations = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_DURATION_S,
        )

    def request_finished(self, record: RequestFinished) -> None:
        """Record a request that has just ended."""
        if record.operation == "subscribe" and not self._with_polls:
            return
        end_ns = time.time_ns()
        attributes = _attributes(record)
        self._durations.record(record.duration_s, attributes)
        if record.attempt > 1:
            attributes["http.request.resend_count"] = record.attempt - 1
        attributes["presence.operation"] = record.operation
        span = self._tracer.start_span(
            f"GET {record.url_template}",
            kind=SpanKind.CLIENT,
            start_time=end_ns - int(record.duration_s * _NS_PER_S),
            attributes=attributes,
        )
        if record.error is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_ns)


def _attributes(record: RequestFinished) -> dict[str, AttributeValue]:
    """Return what the conventions ask of spans and metrics alike."""
    attributes: dict[str, AttributeValue] = {
        "http.request.method": "GET",
        "server.address": record.host,
        "server.port": record.port,
        "url.scheme": record.scheme,
        "url.template": record.url_template,
    }
    if record.status is not None:
        attributes["http.response.status_code"] = record.status
    if record.error is not None:
        # By convention the status where there is one, else the class of the error.
        has_status = record.status is not None and record.status >= 400  # noqa: PLR2004
        attributes["error.type"] = str(record.status) if has_status else record.error
    return attributes
