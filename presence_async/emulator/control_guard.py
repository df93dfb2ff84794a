"""Who may use the control path. Pure.

Without a control token only this machine may: its loopback addresses, under a loopback
host both in ``Host`` and in a request target that names one, so that no other machine
and no name that was made to point here gets in. With a token, everyone who sends it as
``Authorization: Bearer TOKEN`` may, and nobody else, loopback addresses included:
behind a forwarded port or a proxy on the same machine, the whole world comes from one.

Web pages of another origin may not in either case, whatever they send: a browser names
them in ``Origin`` or ``Sec-Fetch-Site``. A page from this very address may; its
requests have to pass the other checks too.

``GET /_emulator/health`` is for everyone but such pages, without a token and under any
host, because orchestrators ask from elsewhere and name a machine as they like. It tells
no more than that an emulator runs, since when, and how many requests it has had.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping
from typing import Final

import attrs

from ..protocol.exchange import HttpRequest

__all__ = ["ControlGuard", "ControlRequest", "is_loopback"]

HEALTH_PATH: Final = "/_emulator/health"

# All of it, as what follows the port might name another host.
_HOST: Final = re.compile(
    r"(?:\[(?P<address>[^]]+)\]|(?P<name>[^][:,@\s]+))(?::[0-9]*)?"
)
_OWN_SITES: Final = frozenset({"none", "same-origin"})
_NOT_GIVEN: Final = "send the control token: Authorization: Bearer TOKEN"


@attrs.frozen(kw_only=True)
class ControlRequest:
    """A request to the control path.

    Attributes:
        method: Upper case.
        http: Path and query.
        headers: Names in lower case; hidden from ``repr``, as they carry the token.
        peer: The address it comes from.
        target_host: The host in a request target of absolute form, or ``None``.
        body: The whole body; ``None`` if it did not come whole or in time.
    """

    method: str
    http: HttpRequest
    headers: Mapping[str, str] = attrs.field(repr=False)
    peer: str
    target_host: str | None = None
    body: bytes | None = attrs.field(default=b"", repr=False)


class ControlGuard:
    """Refuses requests to the control path.

    Args:
        token: The control token; ``None``: only this machine may.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    def refusal(self, request: ControlRequest) -> tuple[int, str] | None:
        """Return status and reason of a refusal; ``None``: the request is allowed."""
        if _is_of_another_page(request.headers):
            return 403, "not for web pages"
        if request.http.path == HEALTH_PATH:
            return None
        if self._token is not None:
            is_known = _carries(request.headers, self._token)
            return None if is_known else (401, _NOT_GIVEN)
        return _elsewhere(request)

    def page_refusal(self, request: ControlRequest) -> tuple[int, str] | None:
        """Return as ``refusal``, of a request for the console's page.

        The page has no data of its own, so that other sites may link to it, and where a
        token is set, everybody gets it, and is asked for the token there.
        """
        return None if self._token is not None else _elsewhere(request)


def is_loopback(address: str) -> bool:
    """Return True if only its own machine can reach an IP address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def _elsewhere(request: ControlRequest) -> tuple[int, str] | None:
    """Return the refusal of a request that does not come from this machine."""
    if not is_loopback(request.peer):
        return 403, "only for this machine, as no control token is set"
    if not all(map(_is_loopback_name, _hosts(request))):
        return 403, "only under a loopback address"
    return None


def _is_of_another_page(headers: Mapping[str, str]) -> bool:
    if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        return True
    host = headers.get("host")
    # Behind a proxy that ends TLS, the page's own origin is https.
    return headers.get("origin", f"http://{host}") not in {
        f"http://{host}",
        f"https://{host}",
    }


def _carries(headers: Mapping[str, str], token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    is_equal = hmac.compare_digest(_bytes(given.strip()), _bytes(token))
    return scheme.lower() == "bearer" and is_equal


def _bytes(text: str) -> bytes:
    # Header bytes that are not UTF-8 arrive as lone surrogates.
    return text.encode(errors="surrogateescape")


def _hosts(request: ControlRequest) -> set[str]:
    named = {_without_port(request.headers.get("host", "localhost"))}
    return named if request.target_host is None else named | {request.target_host}


def _is_loopback_name(name: str) -> bool:
    return name.lower() == "localhost" or is_loopback(name)


def _without_port(host: str) -> str:
    found = _HOST.fullmatch(host)
    return "" if found is None else found["address"] or found["name"]
