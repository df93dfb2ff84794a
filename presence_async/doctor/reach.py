"""Can this machine reach the service: name, connection, clock, descriptors."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import suppress
from urllib.parse import urlsplit

from ..client import wall_clock
from ..errors import (
    ConnectionLostError,
    DeadlineError,
    ReplyFormatError,
    RequestError,
    ServiceError,
)
from .finding import Finding, ok, problem, unknown, warning
from .service_time import ServiceTimeOperation
from .subject import Subject
from .wire import Heard

__all__ = ["clock", "connection", "descriptors", "name"]

_LARGEST_SKEW_S = 60.0
_NOTICED_SKEW_S = 5.0
_OTHER_DESCRIPTORS = 64
_LOOKUP_S = 10.0
_TRIES = 3
_PASSES_S = 4.0


async def name(subject: Subject) -> Finding:
    """Look up the origin's name."""
    host = _host(subject)
    if subject.config.proxy is not None:
        return ok("name", f"{host} is left to the proxy")
    if _is_address(host):
        return ok("name", f"{host} is an address")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOKUP_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return problem(
            "name",
            f"{host} cannot be found",
            "check the origin for typing errors, and this machine's DNS and network",
        )
    addresses = sorted({str(address[0]) for *_, address in found})
    return ok("name", f"{host} is {', '.join(addresses[:3])}")


async def connection(subject: Subject) -> Finding:
    """Connect, with TLS if the origin has it, and get one answer."""
    url = subject.config.base_url
    started_s = asyncio.get_running_loop().time()
    try:
        await _first_answer(subject)
    except ServiceError as error:
        return problem(
            "connection",
            f"{url} answers {error.status}",
            "try again later; the service is overloaded or down, or a limit is hit",
        )
    except ReplyFormatError:
        return problem(
            "connection",
            f"{url} answers, but not as PubNub does",
            "check the origin; a captive portal or a proxy may have answered",
        )
    except DeadlineError:
        return problem(
            "connection",
            f"{url} does not answer within {subject.config.attempt_timeout_s:g} s",
            "let a firewall or proxy on the way pass this address",
        )
    except RequestError as error:
        cause = error.cause or error.problem
        if subject.config.proxy is not None and "refused" in cause.lower():
            return problem(
                "connection",
                f"the proxy on the way to {url} refuses connections",
                "check the proxy (PUBNUB_PROXY) and that it runs",
            )
        return problem("connection", *_unreachable(url, cause))
    took_ms = (asyncio.get_running_loop().time() - started_s) * 1000
    how = "with TLS" if url.startswith("https") else "without TLS"
    return ok("connection", f"{url} answers in {took_ms:.0f} ms, {how}")


async def clock(subject: Subject) -> Finding:
    """Compare this machine's clock with the service's."""
    heard = await _service_time(subject, None)
    asked_s = (heard.heard_at_s - heard.sent_at_s) / 2
    skew_s = wall_clock.now_s() - asked_s - heard.value
    text = f"{abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} the service's"
    remedy = "set the clock of this machine by NTP"
    if abs(skew_s) <= _NOTICED_SKEW_S:
        return ok("clock", text, clock_skew_s=round(skew_s, 3))
    is_signing = subject.config.secret_key is not None
    if is_signing and abs(skew_s) > _LARGEST_SKEW_S:
        text += "; signed requests are refused above 60 s"
        return problem("clock", text, remedy, clock_skew_s=round(skew_s, 3))
    return warning("clock", text, remedy, clock_skew_s=round(skew_s, 3))


async def descriptors(subject: Subject) -> Finding:
    """Compare the limit of open files with the connections that a client may open."""
    try:
        import resource  # noqa: PLC0415  # only Unix has it
    except ImportError:
        return unknown("descriptors", "this system has no limit that can be read")
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    config = subject.config
    needed = config.max_connections + config.max_beats_in_flight + _OTHER_DESCRIPTORS
    if limit in {-1, resource.RLIM_INFINITY} or limit >= needed:
        return ok("descriptors", f"{limit} allowed, {needed} needed at most")
    return warning(
        "descriptors",
        f"{limit} allowed, {needed} needed at most",
        f"raise the limit: ulimit -n {max(1024, needed)}",
    )


async def _first_answer(subject: Subject) -> None:
    """Get one answer; a service may be in trouble for some seconds."""
    # Long enough for another attempt.
    limit_s = 1.5 * subject.config.attempt_timeout_s
    for _ in range(_TRIES - 1):
        with suppress(ServiceError, ConnectionLostError):
            await _service_time(subject, limit_s)
            return
        await asyncio.sleep(_PASSES_S)
    await _service_time(subject, limit_s)


async def _service_time(subject: Subject, timeout_s: float | None) -> Heard[float]:
    operation = ServiceTimeOperation(subscribe_key=subject.config.subscribe_key)
    return await subject.stray.send(operation, timeout_s=timeout_s)


def _host(subject: Subject) -> str:
    return urlsplit(subject.config.base_url).hostname or ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _unreachable(url: str, cause: str) -> tuple[str, str]:
    """Return what to say about a connection that failed, and what to do."""
    words = cause.lower()
    if "certificate" in words:
        remedy = (
            "check this machine's clock; behind a proxy that inspects TLS, trust its"
            " certificate by PresenceConfig(ssl_context=)"
        )
        return f"{url} has a certificate that is not trusted ({cause})", remedy
    if "ssl" in words:
        remedy = f"write http://{urlsplit(url).netloc}, or choose another port"
        return f"{url} does not speak TLS", remedy
    if "refused" in words:
        return (
            f"{url} refuses connections",
            "check the port and that the service runs; a firewall may close the port",
        )
    return (
        f"{url} cannot be reached ({cause})",
        "check network, firewall and proxy (PUBNUB_PROXY)",
    )
