"""Verify the signature of a request. Pure.

Source: https://www.pubnub.com/docs/sdks/rest-api/signature (read 2026-11) for the
signature, ``revoke-token`` beside it for the 60 s that a timestamp may be off. A bad
timestamp is recorded with 400 ``Invalid Timestamp``; what presence answers to a wrong
signature is unverified. A publish by POST is signed in three ways: as documented, as if
it were a GET (JavaScript), or in the older form (Python, Go, C); each is accepted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator

from ..protocol.encoding import decode_query, encode_name, encode_names, split_list
from ..protocol.exchange import HttpReply, HttpRequest
from ..protocol.signature import signature_v2, signed_query
from .refusals import access_denied

__all__ = ["signature_refusal"]

_MAX_SKEW_S = 60
_LONGEST_TIMESTAMP = 12
_ENCODED_TWICE = frozenset({"state", "filter-expr"})


def signature_refusal(
    request: HttpRequest,
    *,
    publish_key: str,
    secret_key: str,
    unix_s: float,
    subscribe_key: str = "",
) -> HttpReply | None:
    """Return the refusal of a request without a valid signature, else ``None``.

    Args:
        request: The request.
        publish_key: Part of the signature.
        secret_key: The key of the HMAC.
        unix_s: The time in Unix seconds.
        subscribe_key: Part of the older form.
    """
    params = decode_query(request.query)
    if not _is_recent(dict(params).get("timestamp", ""), unix_s):
        return access_denied(400, "Invalid Timestamp")
    signed = [(name, value) for name, value in params if name != "signature"]
    # The official Python and Go SDKs sign some values in their escaped form.
    escaped = [(name, _escaped(name, value)) for name, value in signed]
    given = dict(params).get("signature", "").encode()
    for candidate in (signed, escaped):
        expected = _signatures(
            request, candidate, publish_key, secret_key, subscribe_key
        )
        if any(hmac.compare_digest(given, one.encode()) for one in expected):
            return None
    return access_denied(403, "Signature Does Not Match")


def _signatures(
    request: HttpRequest,
    params: list[tuple[str, str]],
    publish_key: str,
    secret_key: str,
    subscribe_key: str,
) -> Iterator[str]:
    forms = [("GET", "")]
    if request.body is not None:
        # With other bytes than text it matches no signature.
        forms.append(("POST", request.body.decode(errors="replace")))
    for method, body in forms:
        yield signature_v2(
            path=request.path,
            params=params,
            publish_key=publish_key,
            secret_key=secret_key,
            method=method,
            body=body,
        )
    if request.body is not None:
        query = signed_query(params)
        text = f"{subscribe_key}\n{publish_key}\n{request.path}\n{query}"
        digest = hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).digest()
        yield base64.urlsafe_b64encode(digest).decode()


def _is_recent(timestamp: str, unix_s: float) -> bool:
    is_number = timestamp.isascii() and timestamp.isdecimal()
    if not is_number or len(timestamp) > _LONGEST_TIMESTAMP:
        return False
    return abs(int(timestamp) - unix_s) <= _MAX_SKEW_S


def _escaped(name: str, value: str) -> str:
    if name == "channel-group":
        return encode_names(split_list(value))
    return encode_name(value) if name in _ENCODED_TWICE else value
