"""The engine spoken to directly: each request and each outcome by hand."""

from __future__ import annotations

import random
from typing import Any

from presence_async.errors import (
    AccessDeniedError,
    ConnectionLostError,
    PresenceError,
    UnavailableError,
)
from presence_async.presence.changes import Change, Settled
from presence_async.presence.claims import (
    Claim,
    Order,
    OrderKind,
    Patience,
    RetryPolicy,
)
from presence_async.presence.engine import PresenceEngine
from presence_async.presence.pace import default_interval_s
from presence_async.presence.patience import NO_RETRY
from presence_async.presence.settings import Settings
from presence_async.presence.wire import Acknowledged, Failed, Refused, Send
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.user_state import SetStateOperation

__all__ = ["Direct", "heartbeat", "operation_of", "say", "state_of"]


def state_of(*channels: str, **facts: Any) -> SetStateOperation:
    return SetStateOperation(
        subscribe_key="key", user_id="u", channels=channels, state=facts
    )


def heartbeat(*channels: str, timeout_s: int = 300) -> HeartbeatOperation:
    return HeartbeatOperation(
        subscribe_key="key",
        user_id="u",
        channels=channels,
        presence_timeout_s=timeout_s,
    )


def operation_of(send: Send) -> Any:
    """Return what a request says, whatever it is."""
    return send.operation


class Direct:
    """An engine at a time that the test sets."""

    def __init__(self, **settings: Any) -> None:
        self.now_s = 1000.0
        self.settings = Settings(
            subscribe_key="key", interval_s=default_interval_s, **settings
        )
        self.engine = PresenceEngine(self.settings, random.Random(1))  # noqa: S311  # repeatable

    def patience(
        self, timeout_s: float = 30.0, retry: RetryPolicy = NO_RETRY
    ) -> Patience:
        return Patience(self.now_s, self.now_s + timeout_s, retry)

    def join(self, user_id: str, *channels: str, **wants: Any) -> Claim:
        """Join, acknowledge every first heartbeat, and forget what is reported."""
        claim = self.ask_to_join(user_id, *channels, **wants)
        while claim.health is None:
            self.acknowledge(self.take())
        self.engine.drain()
        return claim

    def ask_to_join(
        self,
        user_id: str,
        *channels: str,
        patience: Patience | None = None,
        **wants: Any,
    ) -> Claim:
        claim = Claim(user_id=user_id, channels=channels, **wants)
        self.engine.join(claim, patience or self.patience(), self.now_s)
        return claim

    # The wire.

    def take(self) -> Send:
        """Return the next request; fail if there is none."""
        send = self.engine.take(self.now_s)
        assert send is not None
        return send

    def take_at(self, when_s: float) -> Send:
        self.now_s = when_s
        return self.take()

    def take_next(self) -> Send:
        """Let time go by until there is a request."""
        while (send := self.engine.take(self.now_s)) is None:
            assert self.engine.next_s < float("inf"), "nothing will ever be due"
            self.now_s = max(self.now_s, self.engine.next_s)
        return send

    @property
    def has_nothing(self) -> bool:
        return self.engine.take(self.now_s) is None

    def acknowledge(
        self,
        send: Send,
        *,
        sent_at_s: float | None = None,
        age_s: float = 0.0,
        is_in_doubt: bool = False,
    ) -> None:
        at_s = self.now_s if sent_at_s is None else sent_at_s
        outcome = Acknowledged(at_s, age_s, "reply", is_in_doubt)
        self.engine.answered(send, outcome, self.now_s)

    def cut(self, send: Send, **facts: Any) -> None:
        error = ConnectionLostError("cut")
        self.engine.answered(send, Failed(error, **facts), self.now_s)

    def lose(self, send: Send) -> None:
        """Give a request up after the time it may be on the wire."""
        self.now_s += send.attempt_s
        self.cut(send, is_in_doubt=True)

    def say_no(self, send: Send, *channels: str, groups: tuple[str, ...] = ()) -> None:
        error = AccessDeniedError("403", status=403)
        self.engine.answered(send, Refused(error, channels, groups), self.now_s)

    def busy(self, send: Send, retry_after_s: float | None = None) -> None:
        error = UnavailableError("503", status=503, retry_after_s=retry_after_s)
        self.engine.answered(send, Failed(error), self.now_s)

    # What it reports.

    def is_done(self) -> bool:
        return self.engine.is_done

    def changes(self, kind: type[Change]) -> list[Any]:
        return [c for c in self.engine.drain() if isinstance(c, kind)]

    def settled(self) -> dict[int, PresenceError | None]:
        """Return who has been settled since, and with which error."""
        return {s.ticket: s.error for s in self.changes(Settled)}


def say(direct: Direct, operation: Any, *, patience: Patience | None = None) -> int:
    """Let the user ``u`` say something once; return the ticket."""
    is_state = isinstance(operation, SetStateOperation)
    order = Order(
        kind=OrderKind.STATE if is_state else OrderKind.HEARTBEAT,
        user_id="u",
        patience=patience or direct.patience(),
        operation=operation,
    )
    return direct.engine.say(order, direct.now_s)
