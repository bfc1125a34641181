"""Traces from publish to attempt, by OpenTelemetry, where TRACES says so. Otherwise none of it is even imported.

    request ──▶ publish ──▶ (the event's row keeps the context) ──▶ attempt, attempt, …   linked to their drain

What is not sampled when it is published is not traced afterwards either: its row keeps nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

from dispatcher.ids import Prefix, show

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Tracer

    from deliveries.engine.values import Pick, Result

HEADER = "traceparent"
SCOPE = "signet"
FLUSH_MS = 2000
# A process that ends waits no longer than this for its last spans to be taken.

_local = threading.local()


def is_on() -> bool:
    return settings.TRACES != "none"


@contextmanager
def request(method: str, headers: Mapping[str, str]) -> Iterator[Span]:
    """A request to us, as a part of the caller's trace if it says one."""
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract(
        {name: value for name in (HEADER, "tracestate") if (value := headers.get(name))}
    )
    with _tracer().start_as_current_span(method, context=parent, kind=SpanKind.SERVER) as span:
        yield span


@contextmanager
def publishing(count: int, event_type: str) -> Iterator[None]:
    """One call of publish; nothing where traces are off."""
    if not is_on():
        yield
        return
    attributes = {"messaging.batch.message_count": count} if count > 1 else {"signet.event_type": event_type}
    with _tracer().start_as_current_span("publish", kind=_kinds().PRODUCER, attributes=attributes):
        yield


def current() -> str | None:
    """The context of the span at hand, as a header has it; None where nothing is recorded."""
    if not is_on():
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    return _shown(context) if context.trace_flags.sampled else None


@contextmanager
def draining() -> Iterator[None]:
    """One drain. It has a span once it makes an attempt that is traced: most carry nothing, and should say nothing."""
    if not is_on():
        yield
        return
    _local.drain = drain = _Drain()
    try:
        yield
    finally:
        _local.drain = None
        drain.end()


class _Drain:
    def __init__(self) -> None:
        self._span: Span | None = None

    def links(self) -> list[Link]:
        from opentelemetry.context import Context
        from opentelemetry.trace import Link

        if self._span is None:
            self._span = _tracer().start_span("drain", context=Context(), kind=_kinds().INTERNAL)
        return [Link(self._span.get_span_context())]

    def end(self) -> None:
        if self._span is not None:
            self._span.end()


def begin(pick: Pick, *, now: datetime) -> Attempt | None:
    """The span of an attempt that is made now; None where it is not traced, or not by this process."""
    return Attempt(pick, traceparent=pick.traceparent, now=now) if is_on() and pick.traceparent else None


class Attempt:
    """The span of one attempt, from the moment it is sent until its outcome is judged."""

    def __init__(self, pick: Pick, *, traceparent: str, now: datetime) -> None:
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        drain: _Drain | None = getattr(_local, "drain", None)
        self._span = _tracer().start_span(
            "attempt",
            context=set_span_in_context(NonRecordingSpan(_context(traceparent))),
            kind=_kinds().CLIENT,
            attributes=_of_pick(pick),
            links=drain.links() if drain else [],
            start_time=_nanoseconds(now),
        )

    @property
    def traceparent(self) -> str:
        return _shown(self._span.get_span_context())

    def end(self, result: Result) -> None:
        """With what came of it; the address is left out, for it may hold a credential."""
        from opentelemetry.trace import Status, StatusCode

        outcome = result.outcome
        self._span.set_attributes(
            {
                "signet.attempt_id": show(Prefix.ATTEMPT, result.attempt_id),
                "signet.reason": outcome.reason.value,
                "signet.delivery_status": result.decision.status,
                **({"http.response.status_code": outcome.status} if outcome.status else {}),
            }
        )
        if not outcome.received:
            self._span.set_status(Status(StatusCode.ERROR, outcome.reason.value))
        self._span.end(_nanoseconds(result.finished_at))

    def abandon(self) -> None:
        """Nobody asks any more what becomes of it."""
        self._span.set_attribute("signet.reason", "abandoned")
        self._span.end()


def close() -> None:
    """The process ends: what was recorded goes out now."""
    if _provider.cache_info().currsize:
        _provider().force_flush(FLUSH_MS)


def _of_pick(pick: Pick) -> dict[str, Any]:
    return {
        "signet.event_id": pick.external_id or show(Prefix.EVENT, pick.event_id),
        "signet.event_type": pick.event_type,
        "signet.delivery_id": show(Prefix.DELIVERY, pick.delivery_id),
        "signet.endpoint_id": show(Prefix.ENDPOINT, pick.endpoint_id),
        "signet.merchant_id": show(Prefix.MERCHANT, pick.merchant_id),
        "signet.attempt": pick.number,
        "signet.trigger": pick.trigger,
    }


def _shown(context: SpanContext) -> str:
    """Source: W3C Trace Context, version 00."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _context(traceparent: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


def _kinds() -> type[SpanKind]:
    from opentelemetry.trace import SpanKind

    return SpanKind


def _tracer() -> Tracer:
    return _provider().get_tracer(SCOPE)


@cache
def _provider() -> TracerProvider:
    """Made at its first use, in the process that uses it: its thread would not outlive a fork. The environment says
    where spans go and how many are sampled (OTEL_EXPORTER_OTLP_*, OTEL_TRACES_SAMPLER)."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SCOPE}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
