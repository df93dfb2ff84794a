"""Verify the signature of a request. Pure.

Source: https://www.pubnub.com/docs/sdks/rest-api/signature (read 2026-11) for the
signature, ``revoke-token`` beside it for the 60 s that a timestamp may be off. A bad
timestamp is recorded with 400 ``Invalid Timestamp``; what presence answers to a wrong
signature is unverified.
"""

from __future__ import annotations

import hmac

from ..protocol.encoding import decode_query, encode_name, encode_names, split_list
from ..protocol.exchange import HttpReply, HttpRequest
from ..protocol.identity import signature_v2
from .refusals import access_denied

__all__ = ["signature_refusal"]

_MAX_SKEW_S = 60
_LONGEST_TIMESTAMP = 12
_ENCODED_TWICE = frozenset({"state", "filter-expr"})


def signature_refusal(
    request: HttpRequest, *, publish_key: str, secret_key: str, unix_s: float
) -> HttpReply | None:
    """Return the refusal of a request without a valid signature, else ``None``.

    Args:
        request: The request.
        publish_key: Part of the signature.
        secret_key: The key of the HMAC.
        unix_s: The time in Unix seconds.
    """
    params = decode_query(request.query)
    if not _is_recent(dict(params).get("timestamp", ""), unix_s):
        return access_denied(400, "Invalid Timestamp")
    signed = [(name, value) for name, value in params if name != "signature"]
    # The official Python and Go SDKs sign some values in their escaped form.
    escaped = [(name, _escaped(name, value)) for name, value in signed]
    given = dict(params).get("signature", "").encode()
    for candidate in (signed, escaped):
        expected = signature_v2(
            path=request.path,
            params=candidate,
            publish_key=publish_key,
            secret_key=secret_key,
        )
        if hmac.compare_digest(given, expected.encode()):
            return None
    return access_denied(403, "Signature Does Not Match")


def _is_recent(timestamp: str, unix_s: float) -> bool:
    is_number = timestamp.isascii() and timestamp.isdecimal()
    if not is_number or len(timestamp) > _LONGEST_TIMESTAMP:
        return False
    return abs(int(timestamp) - unix_s) <= _MAX_SKEW_S


def _escaped(name: str, value: str) -> str:
    if name == "channel-group":
        return encode_names(split_list(value))
    return encode_name(value) if name in _ENCODED_TWICE else value
