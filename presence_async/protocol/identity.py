"""The identity of the client: parameters that every request carries.

The common parameters are ``uuid`` and ``pnsdk``, ``auth`` with a token, ``requestid``
for each attempt, and ``timestamp`` and ``signature`` with a secret key.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from ..errors import InvalidArgumentError
from .encoding import decode_name, decode_query, encode_name, encode_query
from .exchange import HttpRequest
from .signature import signature_v2

__all__ = [
    "RESERVED_PARAMS",
    "Identity",
    "checked_query_params",
    "loggable",
    "redacted",
    "secrets_of",
]

_SDK: Final = "presence-async/0.1.0"

RESERVED_PARAMS: Final = frozenset({
    "add",
    "auth",
    "callback",
    "channel-group",
    "disable-uuids",
    "disable_uuids",
    "ee",
    "filter-expr",
    "heartbeat",
    "instanceid",
    "limit",
    "offset",
    "pnsdk",
    "remove",
    "requestid",
    "signature",
    "state",
    "timestamp",
    "tr",
    "tt",
    "uuid",
})
"""The library's own parameters, which callers may not name."""

Params = tuple[tuple[str, str], ...]

_SECRET_PARAMS: Final = frozenset({"auth", "signature"})
# Also where the whole URL has been escaped once more, or several times.
_HIDDEN_PARAMS: Final = (
    r"(?:\b|(?<=26)|(?<=3F))(auth|signature)(=|%(?:25)*3D)"
    r"(?:(?!%(?:25)*26)[^&\s'\"<>])*"
)
_SHORTEST_SECRET: Final = 4
# As html.escape, whose table of all entities takes 1.5 ms to import.
_ESCAPED_IN_HTML: Final = str.maketrans({
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#x27;",
})


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A key set and a user.

    Attributes:
        subscribe_key: The key set.
        user_id: The user of requests that do not name another.
        publish_key: Part of signatures.
        secret_key: Signs requests; ``None``: no signature.
        query_params: Further parameters of every request.
    """

    subscribe_key: str
    user_id: str
    publish_key: str | None = None
    secret_key: str | None = None
    query_params: Params = ()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Identity({shown})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        shown = ("subscribe_key", "user_id", "publish_key")
        return [(name, getattr(self, name)) for name in shown]

    def stamp(
        self,
        request: HttpRequest,
        *,
        user_id: str | None = None,
        token: str | None = None,
        request_id: str | None = None,
        timestamp_s: int | None = None,
        query_params: Params = (),
    ) -> HttpRequest:
        """Return a request with the parameters that every request carries.

        Args:
            request: The request of an operation.
            user_id: The user; ``None``: the identity's own.
            token: The value of ``auth``.
            request_id: New for each attempt, so that no cache can answer.
            timestamp_s: Unix seconds; needed with a secret key.
            query_params: Further parameters, which win over the identity's.
        """
        user = encode_name(user_id or self.user_id)
        query = f"{_COMMON}&uuid={user}"
        if request.query:
            query = f"{request.query}&{query}"
        if request_id is not None:
            query += f"&requestid={request_id}"
        if token is not None:
            query += f"&auth={quote(token, safe='')}"
        if self.query_params or query_params:
            custom = {**dict(self.query_params), **dict(query_params)}
            query += "&" + encode_query(custom.items())
        if self.secret_key is not None:
            query += f"&timestamp={timestamp_s}"
            signature = self._signature(request.path, query)
            query += f"&signature={encode_name(signature)}"
        return HttpRequest(path=request.path, query=query)

    def _signature(self, path: str, query: str) -> str:
        return signature_v2(
            path=path,
            params=decode_query(query),
            publish_key=self.publish_key or "",
            secret_key=self.secret_key or "",
        )


_COMMON: Final = encode_query([("pnsdk", _SDK)])


def loggable(request: HttpRequest) -> str:
    """Return the target of a request with its token and signature hidden."""
    query = "&".join([_without_secret(part) for part in request.query.split("&")])
    return _hidden(HttpRequest(path=request.path, query=query).target)


def _without_secret(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}{equals}***" if unquote(name) in _SECRET_PARAMS else part


def secrets_of(request: HttpRequest) -> tuple[str, ...]:
    """Return the secrets in a request: token and signature."""
    return tuple([
        decode_name(value)
        for name, _, value in (part.partition("=") for part in request.query.split("&"))
        if name in _SECRET_PARAMS
    ])


def checked_query_params(
    query_params: Mapping[str, str | float] | None,
) -> Params:
    """Check further parameters that a caller gives.

    Raises:
        InvalidArgumentError: One is the library's own, or is neither text nor number.
    """
    if query_params is None:
        return ()
    if not isinstance(query_params, Mapping):
        raise InvalidArgumentError("query_params", "must be a dict of names and values")
    return tuple([(_name(n), _value(n, v)) for n, v in query_params.items()])


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Remove secrets from a text, such as an error message that contains the URL.

    The text may end within a secret. Secrets shorter than 4 characters stay unless they
    follow ``auth=``: removing them would remove half the text.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            for form in _forms(secret):
                text = _without_beginning(text.replace(form, "***"), form)
    return _hidden(text)


def _hidden(text: str) -> str:
    return re.sub(_HIDDEN_PARAMS, r"\1\2***", text, flags=re.IGNORECASE)


def _without_beginning(text: str, form: str) -> str:
    """Remove the beginning of a secret from the end of a shortened text."""
    for length in range(min(len(form), len(text)), _SHORTEST_SECRET - 1, -1):
        if text.endswith(form[:length]):
            return text[:-length] + "***"
    return text


@functools.lru_cache(maxsize=256)
def _forms(secret: str) -> tuple[str, ...]:
    """Return the forms in which a secret may be written, longest first."""
    escaped = quote(secret, safe="")
    forms = {
        secret,
        escaped,
        escaped.lower(),
        quote(escaped, safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        ascii(secret)[1:-1],
        repr(secret)[1:-1],
        secret.translate(_ESCAPED_IN_HTML),
    }
    return tuple(sorted(forms, key=len, reverse=True))


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise InvalidArgumentError(
            "query_params",
            f"{name!r} is not a parameter name; write a str that is not blank",
        )
    if name in RESERVED_PARAMS:
        raise InvalidArgumentError(
            "query_params", f"{name!r} is set by the library; leave it out"
        )
    return name


def _value(name: object, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArgumentError(
            "query_params", f"{name!r} is {value}; write a str or a finite number"
        )
    if not isinstance(value, (str, int, float)):
        raise InvalidArgumentError(
            "query_params",
            f"{name!r} is a {type(value).__name__}; write a str or a number",
        )
    # Not str(value) of a str: of an enum that is the name of the member.
    text = str.__str__(value) if isinstance(value, str) else str(value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidArgumentError(
            "query_params", f"{name!r} contains a lone surrogate; write valid Unicode"
        )
    return text
