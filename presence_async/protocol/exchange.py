"""HTTP requests and replies, and the operation that translates to and from them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import ClassVar, Protocol, Self, TypeVar

import msgspec

from ..errors import InvalidArgumentError
from .encoding import decode_query

__all__ = ["HttpReply", "HttpRequest", "Operation", "compiled_route", "route_fields"]

ReplyT = TypeVar("ReplyT")


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request, escaped and ready for the wire, without its host.

    Attributes:
        path: The percent-escaped path, from its leading slash.
        query: The percent-escaped query without ``?``; hidden from ``repr`` because
            it may carry a token.
        body: The body of a POST, hidden too; ``None`` for a GET, which has none.
    """

    path: str
    query: str = ""
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"HttpRequest(path={self.path!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("path", self.path)]

    @property
    def target(self) -> str:
        """Path and query as one request target."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def params(self) -> dict[str, str]:
        """Decode the query; the last value of a repeated name counts.

        Raises:
            InvalidArgumentError: A percent-escape is broken or not UTF-8.
        """
        return dict(decode_query(self.query))


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer, read by the transport or sent by the emulator.

    Attributes:
        status: The HTTP status code.
        body: The body after decompression; hidden from ``repr``, since a hostile
            server may put anything there.
        headers: The headers, names in lower case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"HttpReply(status={self.status!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("status", self.status)]


class Operation(Protocol[ReplyT]):
    """A question to the service, as a frozen value with four translations.

    The client uses ``to_request`` and ``from_reply``, the emulator ``from_request`` and
    ``to_reply``. Each pair is the inverse of the other: a request, once it carries the
    common parameters of ``identity``, gives the same operation back, and a reply the
    same value.
    """

    name: ClassVar[str]
    """The name in errors, logs and faults, such as ``"here now"``."""

    route: ClassVar[str]
    """A pattern that matches the whole escaped path of its requests."""

    @property
    def subscribe_key(self) -> str:
        """The key set that it asks about."""
        ...

    @property
    def acting_user_id(self) -> str | None:
        """The user in whose name it asks; ``None``: the client's own user."""
        ...

    def to_request(self) -> HttpRequest:
        """Return the request: its path and own parameters, not the common ones."""
        ...

    @classmethod
    def from_request(cls, request: HttpRequest) -> Self:
        """Return the operation that a request asks for; its path matches ``route``.

        Raises:
            InvalidArgumentError: A name or parameter is invalid.
        """
        ...

    def to_reply(self, value: ReplyT) -> HttpReply:
        """Return the reply with which the service answers a value."""
        ...

    def from_reply(self, reply: HttpReply) -> ReplyT:
        """Return the value that a reply answers.

        Raises:
            ServiceError: The service refused the request or failed.
            ReplyFormatError: The body is not as documented.
        """
        ...


@functools.cache
def compiled_route(route: str) -> re.Pattern[str]:
    """Return a route to match with: clients, who match none, need not compile any."""
    return re.compile(route)


def route_fields(route: str, request: HttpRequest) -> dict[str, str]:
    """Match the whole path of a request and return its named parts, still escaped.

    Raises:
        InvalidArgumentError: The path belongs to another operation.
    """
    found = compiled_route(route).fullmatch(request.path)
    if found is None:
        raise InvalidArgumentError("path", f"must match {route}")
    return found.groupdict(default="")
