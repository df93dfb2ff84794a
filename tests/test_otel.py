"""``presence_async.otel``: the spans that an in-memory exporter sees."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry's SDK is missing")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from presence_async import PresenceClient, otel
from presence_async.emulator import Fault, Grant, PresenceEmulator

TOKEN = "tok-planted"


def seen_as(span: ReadableSpan) -> tuple[object, ...]:
    attributes = span.attributes or {}
    return (
        span.name,
        attributes.get("http.response.status_code"),
        attributes.get("http.request.resend_count"),
        attributes.get("error.type"),
        span.status.status_code,
    )


async def test_each_request_is_a_span_of_its_caller() -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    observer = otel.observer(
        tracer_provider=provider, meter_provider=MeterProvider([reader])
    )
    grants = {TOKEN: Grant(channels=["lobby", "lobby-pnpres"])}
    async with (
        PresenceEmulator(access=grants) as emulator,
        PresenceClient(
            emulator.config(user_id="alice", auth=TOKEN), observers=[observer]
        ) as client,
    ):
        origin = emulator.origin
        with provider.get_tracer("page").start_as_current_span("page") as page:
            emulator.inject(Fault(operation="here now", status=503, times=1))
            emulator.inject(Fault(operation="here now", cut=True, times=1))
            await client.here_now("lobby")
        async with client.join("lobby"), client.events("lobby"):
            await asyncio.sleep(200)

    spans = exporter.get_finished_spans()
    path = "GET /v2/presence/sub-key/{key}/channel/{channels}"
    ok, failed = StatusCode.UNSET, StatusCode.ERROR
    assert [seen_as(span) for span in spans if span.name == path] == [
        (path, None, None, "ConnectionLostError", failed),
        (path, 503, 1, "503", failed),
        (path, 200, 2, None, ok),
    ]
    page_id = page.get_span_context().span_id
    parents = {s.name: s.parent and s.parent.span_id for s in spans if s.name != "page"}
    assert parents == {
        path: page_id,
        f"{path}/heartbeat": None,
        f"{path}/leave": None,
    }
    first = spans[0]
    assert first.kind is SpanKind.CLIENT
    assert first.attributes is not None
    host, port = origin.split(":")
    assert first.attributes["server.address"] == host
    assert first.attributes["server.port"] == int(port)
    exported = "".join(span.to_json() for span in spans) + str(
        reader.get_metrics_data()
    )
    assert "http.client.request.duration" in exported
    for private in (TOKEN, "alice", "lobby", "?"):
        assert private not in exported
