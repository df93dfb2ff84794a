"""Where requests go: the service's origin and the proxy, checked when configured."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ..checks import Field
from ..errors import InvalidArgumentError

__all__ = ["base_url", "parts_of", "proxy_url"]

_ORIGIN_RULE: Final = (
    "must be a host, host:port, or URL without user, path and query,"
    " such as 'ps.pndsn.com' or 'http://127.0.0.1:8080'"
)
_PROXY_RULE: Final = "must be the URL of an HTTP proxy, such as 'http://proxy:3128'"
_SCHEMES: Final = frozenset({"http", "https"})
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]+")


def base_url(origin: object, *, secure: bool) -> str:
    """Turn an origin into scheme, host and port.

    Args:
        origin: Host, ``host:port``, or a URL, whose scheme then decides.
        secure: Whether a host alone means TLS.

    Raises:
        InvalidArgumentError: It holds anything else, such as a path.
    """
    if not isinstance(origin, str):
        raise InvalidArgumentError("origin", _ORIGIN_RULE)
    scheme = "https" if secure else "http"
    parts = _parted(origin if "://" in origin else f"{scheme}://{origin}")
    if parts is None or "@" in parts.netloc:
        raise InvalidArgumentError("origin", _ORIGIN_RULE)
    return f"{parts.scheme}://{parts.netloc.removesuffix(':')}"


def parts_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of what ``base_url`` returned."""
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname or "", parts.port or default


def proxy_url(_: object, field: Field, value: object) -> None:
    """Refuse what is no proxy; the error never shows it, it may hold a password."""
    if value is None:
        return
    is_url = isinstance(value, str) and "://" in value and _parted(value) is not None
    if not is_url:
        raise InvalidArgumentError(field.name, _PROXY_RULE)


def _parted(url: str) -> SplitResult | None:
    """Take a URL of scheme, host and port apart; ``None``: it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    is_plain = parts.path in {"", "/"} and not parts.query and not parts.fragment
    is_one_word = url.isprintable() and not any(c in " \\" for c in url)
    if parts.scheme not in _SCHEMES or port == 0 or not is_plain or not is_one_word:
        return None
    return parts if _is_host(parts.hostname or "") else None


def _is_host(host: str) -> bool:
    if ":" in host:
        return _IPV6.fullmatch(host) is not None
    try:
        # Empty and endless labels are refused here.
        host.encode("idna")
    except UnicodeError:
        return False
    return bool(host) and all(c.isalnum() or c in "-._" for c in host)
