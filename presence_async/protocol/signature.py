"""Signatures of requests, by the secret key of a key set.

Source: https://www.pubnub.com/docs/sdks/rest-api/signature (read 2026-11).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

from .encoding import encode_name

__all__ = ["signature_v2", "signed_query"]


def signature_v2(
    *,
    path: str,
    params: Iterable[tuple[str, str]],
    publish_key: str,
    secret_key: str,
    method: str = "GET",
    body: str = "",
) -> str:
    """Sign a request: HMAC-SHA256 over method, key, path, sorted query and body.

    Args:
        path: Exactly as on the wire.
        params: Decoded names and values, without ``signature``.
        publish_key: May be empty.
        secret_key: The key of the HMAC.
        method: Upper case.
        body: Empty for GET.
    """
    text = f"{method}\n{publish_key}\n{path}\n{signed_query(params)}\n{body}"
    digest = hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).digest()
    return "v2." + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def signed_query(params: Iterable[tuple[str, str]]) -> str:
    """Return a query as signatures contain it: sorted, and escaped throughout."""
    return "&".join(f"{name}={_signed(value)}" for name, value in sorted(params))


def _signed(value: str) -> str:
    # Unlike elsewhere a tilde is escaped too.
    return encode_name(value).replace("~", "%7E")
