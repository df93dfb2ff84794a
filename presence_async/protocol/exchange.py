"""The shape that every operation has: one request out, one reply back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Protocol, Self, TypeVar

import attrs

from ..errors import InvalidArgumentError
from .encoding import decode_query

__all__ = ["HttpReply", "HttpRequest", "Operation", "route_fields"]

ReplyT = TypeVar("ReplyT")


@attrs.frozen(kw_only=True)
class HttpRequest:
    """A GET request, escaped and ready for the wire, without host and body.

    Attributes:
        path: The percent-escaped path, from its leading slash.
        query: The percent-escaped query without ``?``; hidden from ``repr`` because
            it may carry a token.
    """

    path: str
    query: str = attrs.field(default="", repr=False)

    @property
    def target(self) -> str:
        """Path and query as one request target."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def params(self) -> dict[str, str]:
        """Decode the query; of a repeated name the last value counts.

        Raises:
            InvalidArgumentError: An escape is broken or is not UTF-8.
        """
        return dict(decode_query(self.query))


@attrs.frozen(kw_only=True)
class HttpReply:
    """A complete answer: what the transport read, or what the emulator sends.

    Attributes:
        status: The HTTP status code.
        body: The body after decompression; hidden from ``repr``, since a hostile
            server may put anything there.
        headers: The headers, names in lower case.
    """

    status: int
    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)


class Operation(Protocol[ReplyT]):
    """A question to the service, as a frozen value with four translations.

    ``from_request(operation.to_request()) == operation`` once the request carries the
    common parameters of ``identity``, and ``operation.read(operation.to_reply(value))
    == value``.
    """

    name: ClassVar[str]
    """What it is called in errors and logs, such as ``"here now"``."""

    route: ClassVar[re.Pattern[str]]
    """Matches the whole escaped path of its requests."""

    @property
    def subscribe_key(self) -> str:
        """The key set it is about."""
        ...

    @property
    def acting_user_id(self) -> str | None:
        """The user the request speaks for; ``None``: the client's own."""
        ...

    def to_request(self) -> HttpRequest:
        """Say it: path and own parameters, without the common ones."""
        ...

    @classmethod
    def from_request(cls, request: HttpRequest) -> Self:
        """Hear it; the request's path must match ``route``.

        Raises:
            InvalidArgumentError: A name or parameter is not what the operation takes.
        """
        ...

    def to_reply(self, value: ReplyT) -> HttpReply:
        """Answer it with success, as the service would."""
        ...

    def read(self, reply: HttpReply) -> ReplyT:
        """Understand the answer.

        Raises:
            ServiceError: The service said no.
            ReplyFormatError: The body is not what the service documents.
        """
        ...


def route_fields(route: re.Pattern[str], request: HttpRequest) -> dict[str, str]:
    """Match a request's whole path; returns the named parts, still escaped.

    Raises:
        InvalidArgumentError: The path is another operation's.
    """
    found = route.fullmatch(request.path)
    if found is None:
        raise InvalidArgumentError("path", f"must match {route.pattern}")
    return found.groupdict(default="")
