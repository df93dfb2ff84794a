"""Split the target of a request line into host, path and query. Pure.

Source: RFC 9112, section 3.2. Most clients send the origin form, ``/path?query``. A
server must also take the absolute form, ``http://host:port/path?query``, which clients
send to proxies and PubNub's Go SDK sends to every server.
"""

from __future__ import annotations

import re

import attrs

__all__ = ["RequestTarget"]

# Without user information, which RFC 9110, section 4.2.4, tells servers to refuse.
_ABSOLUTE = re.compile(
    r"https?://(?:\[(?P<address>[^]/]+)\]|(?P<name>[^][/:@]+))(?::[0-9]*)?"
    r"(?P<path>/.*)?",
    re.IGNORECASE | re.DOTALL,
)


@attrs.frozen(kw_only=True)
class RequestTarget:
    """What a request line names.

    Attributes:
        path: The escaped path. It starts with a slash, unless the target has another
            form, such as ``*`` or the ``host:port`` of CONNECT, or is invalid.
        query: The escaped query without ``?``.
        host: The host of the absolute form, without port and brackets; ``None`` in
            every other form.
    """

    path: str
    query: str = ""
    host: str | None = None

    @classmethod
    def parse(cls, text: str) -> RequestTarget:
        """Split a target as it stands on the request line.

        A fragment is dropped: it belongs to the client, which must not send it.
        """
        start, _, query = text.partition("#")[0].partition("?")
        found = _ABSOLUTE.fullmatch(start)
        if found is None:
            # ``//host/path`` is a path too: only a scheme can introduce a host.
            return cls(path=start, query=query)
        host = found["address"] or found["name"]
        return cls(path=found["path"] or "/", query=query, host=host)
