"""Parse requests and refuse those that must not take effect. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidArgumentError
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from ..protocol.here_now import HereNowOperation
from ..protocol.timetoken import TIMETOKENS_PER_S
from . import refusals
from .access_manager import AccessManager
from .options import Options
from .rate_limit import RateLimit
from .router import operation_kind, takes_post
from .signatures import signature_refusal
from .stream_filter import StreamFilter

__all__ = ["MAX_MESSAGE_BYTES", "MAX_TARGET_CHARS", "TIME_PATH", "RequestGuard"]

MAX_MESSAGE_BYTES = 32 * 1024
"""The largest body of a publish, as documented."""

MAX_TARGET_CHARS = 32 * 1024
"""The longest path and query; longer ones are refused."""

TIME_PATH = "/time/0"
"""The path of the service's time: one timetoken in a list."""

_PRESENCE = "/v2/presence/"
_REGISTRY = "/v1/channel-registration/"
_SENDING = ("/publish/", "/signal/")


class RequestGuard:
    """Parses requests and refuses those that must not take effect.

    The checks, in this order: the target is too long, requests come too fast, the
    method is a wrong one, a message is too large, no service has the path, the
    subscribe key is another one, the signature is wrong or outdated, the token does not
    cover the names, the keyset lacks the feature, the filter expression is malformed.

    Args:
        options: How the service behaves.
        clock: Returns Unix time in seconds.

    Attributes:
        access: The tokens in force.
    """

    def __init__(self, options: Options, *, clock: Callable[[], float]) -> None:
        profile, access = options.profile, options.access
        if access is None and profile.access_manager:
            access = {}
        self.access: AccessManager = AccessManager(
            access, leave_needs_read=profile.leave_needs_read
        )
        self._options = options
        self._clock = clock
        self._rate_limit = RateLimit(options.max_requests_per_s)

    def check(
        self, request: HttpRequest, *, method: str = "GET", now_s: float
    ) -> tuple[Operation[Any] | None, HttpReply | None]:
        """Return the operation, and the reply if it must not take effect.

        The operation is ``None`` if the request cannot be parsed.
        """
        if (early := self._answered_early(request, method, now_s)) is not None:
            return None, early
        kind = operation_kind(request)
        if kind is None:
            return None, _unroutable(request)
        try:
            operation = kind.from_request(request)
            denied = self._denied(operation, request, now_s)
            return operation, denied or self._unavailable(operation, request)
        except InvalidArgumentError as error:
            return None, self._unparsable(request, error)

    def _answered_early(
        self, request: HttpRequest, method: str, now_s: float
    ) -> HttpReply | None:
        if len(request.target) > MAX_TARGET_CHARS:
            return refusals.too_long()
        if wait_s := self._rate_limit.wait_s(now_s):
            return refusals.with_headers(
                refusals.too_many_requests(), retry_after=wait_s
            )
        if not _is_text(request.target):
            return refusals.bad_request("Bad Request")
        if (unfit := self._unfit(request, method)) is not None:
            return unfit
        if request.path == TIME_PATH:
            return refusals.raw(b"[%d]" % self._timetoken())
        return None

    def _unfit(self, request: HttpRequest, method: str) -> HttpReply | None:
        """Return the refusal of a wrong method or of a body that is too large."""
        allowed = "POST" if takes_post(request.path) else "GET"
        if method != allowed:
            return refusals.other_method(method, allowed=allowed)
        if len(request.body or b"") > MAX_MESSAGE_BYTES:
            too_large = "Message Too Large"
            return refusals.not_sent(too_large, self._timetoken(), status=413)
        return None

    def _timetoken(self) -> int:
        return int(self._clock() * TIMETOKENS_PER_S)

    def _denied(
        self, operation: Operation[Any], request: HttpRequest, now_s: float
    ) -> HttpReply | None:
        """Return the refusal for a wrong key, signature or token, else ``None``."""
        keys, secret_key = self._options.subscribe_keys, self._options.secret_key
        if keys is not None and operation.subscribe_key not in keys:
            if request.path.startswith(_SENDING):
                return refusals.not_sent("Invalid Key", self._timetoken())
            return refusals.access_denied(400, "Invalid Subscribe Key")
        if secret_key is not None and (
            refusal := signature_refusal(
                request,
                publish_key=self._options.publish_key,
                secret_key=secret_key,
                subscribe_key=operation.subscribe_key,
                unix_s=self._clock(),
            )
        ):
            return refusal
        if not self.access.is_on:
            return None
        params = request.params()
        channels: tuple[str, ...] = getattr(operation, "channels", ())
        groups: tuple[str, ...] = getattr(operation, "channel_groups", ())
        if (group := getattr(operation, "group", None)) is not None:
            # Adding channels to a group takes a right on the group, not on them.
            channels, groups = (), (group,)
        return self.access.refusal(
            operation.name,
            channels,
            groups,
            token=params.get("auth"),
            user_id=params.get("uuid"),
            now_s=now_s,
        )

    def _unparsable(
        self, request: HttpRequest, error: InvalidArgumentError
    ) -> HttpReply:
        if request.path.startswith(_REGISTRY):
            return refusals.registry_refusal("Reserved character in input parameters.")
        is_sending = request.path.startswith(_SENDING)
        known = _WORDS_OF_SENDING if is_sending else _WORDS
        words = known.get(str(error)) or f"Invalid {error.argument}: {error.rule}"
        if is_sending:
            return refusals.not_sent(words, self._timetoken())
        return refusals.bad_request(words)

    def _unavailable(
        self, operation: Operation[Any], request: HttpRequest
    ) -> HttpReply | None:
        """Return the refusal of a feature that the keyset lacks, else ``None``."""
        profile = self._options.profile
        is_global = isinstance(operation, HereNowOperation) and operation.is_global
        if (request.path.startswith(_PRESENCE) and not profile.presence) or (
            is_global and not profile.global_here_now
        ):
            return refusals.not_turned_on()
        expression: str | None = getattr(operation, "filter_expression", None)
        if expression is None:
            return None
        if not profile.stream_filtering:
            return refusals.bad_request(
                "Stream filtering is off for this subscribe key"
            )
        return _invalid_filter(expression)


# The service's own words where they are known.
_WORDS: Mapping[str, str] = {"state: No state specified.": "No state specified."}
_WORDS_OF_SENDING: Mapping[str, str] = {
    "message: must be JSON": "Invalid JSON",
    "message: Signal size too large": "Signal size too large",
}


def _invalid_filter(expression: str) -> HttpReply | None:
    try:
        StreamFilter.parse(expression)
    except InvalidArgumentError as error:
        return refusals.invalid_filter(f"Invalid {error.argument}: {error.rule}")
    return None


def _unroutable(request: HttpRequest) -> HttpReply:
    if request.path.startswith("/"):
        return refusals.not_found(request.path)
    return refusals.bad_request(
        "Invalid request target: must be a path or an http URL without user information"
    )


def _is_text(target: str) -> bool:
    # Bytes that are not UTF-8 arrive as lone surrogates.
    return target.isascii() or not any("\ud800" <= c <= "\udfff" for c in target)
