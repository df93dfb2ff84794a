"""What every attempt adds to a request: user, number, token and signature."""

from __future__ import annotations

import logging
import uuid
from typing import Any, Final

from ..protocol.exchange import HttpRequest, Operation
from ..protocol.identity import Identity, loggable
from . import wall_clock
from .auth import AuthToken
from .call import Call
from .config import PresenceConfig
from .limits import Params, check_size
from .safe_log import SafeLogger

__all__ = ["Stamper"]

logger: SafeLogger = SafeLogger("presence_async.client")

_SURELY_FITS: Final = 4096
"""Bytes of a request that need no closer look; most have 200."""


class Stamper:
    """Makes the requests of attempts: each with a number of its own, none too large.

    Args:
        config: Whether requests are signed.
        identity: What every request carries.
    """

    def __init__(self, config: PresenceConfig, identity: Identity) -> None:
        self._identity = identity
        self._is_signing = config.secret_key is not None
        # A UUID like the SDKs'; counting on from it is far quicker than uuid4.
        self._prefix = str(uuid.uuid4())[:-12]
        self._requests = 0

    def stamped(self, call: Call[Any]) -> HttpRequest:
        """Return the request of the next attempt, which the call then knows.

        Raises:
            InvalidArgumentError: It would be larger than 32 KiB.
        """
        self._requests += 1
        token = call.token
        request = self._identity.stamp(
            call.request,
            user_id=call.user_id,
            token=None if token is None else token.value,
            request_id=f"{self._prefix}{self._requests:012x}",
            timestamp_s=int(wall_clock.now_s()) if self._is_signing else None,
            query_params=call.params,
        )
        if len(request.path) + len(request.query) > _SURELY_FITS:
            check_size(request, call.operation.name)
        call.stamped = request
        if logger.logger.isEnabledFor(logging.DEBUG):
            logger.debug("> %s %s", call.operation.name, loggable(request))
        return request

    def check(
        self,
        operation: Operation[Any],
        user_id: str,
        token: AuthToken | None,
        params: Params,
    ) -> None:
        """Refuse an operation that no request can carry.

        Raises:
            InvalidArgumentError: The request would be larger than 32 KiB.
        """
        request = self._identity.stamp(
            operation.to_request(),
            user_id=user_id,
            token=None if token is None else token.value,
            request_id=f"{self._prefix}{0:012x}",
            timestamp_s=0,
            query_params=params,
        )
        check_size(request, operation.name)
