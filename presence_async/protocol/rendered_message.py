"""Messages already encoded as JSON, for replies to many polls."""

from __future__ import annotations

import json
from typing import Any, Final

from . import names
from .json_codec import Json
from .messages import Message, metadata_of

__all__ = ["RenderedMessage"]

_SHARD: Final = "2"


class RenderedMessage(Message, frozen=True, kw_only=True, gc=False):
    """A message that is encoded once, however many polls it answers.

    Attributes:
        text: The JSON of all but ``b``, without the closing brace.
    """

    text: str

    @classmethod
    def of(
        cls,
        message: Message,
        subscribe_key: str,
        *,
        publisher: str | None = None,
        kind: int | None = None,
        message_type: str | None = None,
        metadata: Json = None,
    ) -> RenderedMessage:
        """Encode a message, unless it is encoded already.

        Args:
            message: The message.
            subscribe_key: The key set.
            publisher: The user who sent it; ``None``: the service itself.
            kind: The field ``e``, which is 1 for a signal; ``None``: left out.
            message_type: The field ``cmt``; ``None``: left out.
            metadata: What the user sent with it for filters; ``None``: nothing. An
                event has its own.
        """
        if isinstance(message, cls):
            return message
        fields: dict[str, Any] = {"a": _SHARD, "f": 0}
        if publisher is not None:
            fields["i"] = publisher
        payload = json.loads(bytes(message.payload))
        fields |= {
            "p": {"t": str(message.published.t), "r": message.published.r},
            "k": subscribe_key,
            "c": message.channel,
            "d": payload,
        }
        extras = {"e": kind, "cmt": message_type}
        fields |= {name: value for name, value in extras.items() if value is not None}
        if names.is_presence_name(message.channel):
            channel = message.channel.removesuffix(names.PRESENCE_SUFFIX)
            fields["u"] = metadata_of(channel, payload)
        elif metadata is not None:
            fields["u"] = metadata
        return cls(
            channel=message.channel,
            payload=message.payload,
            published=message.published,
            subscription=message.subscription,
            text=json.dumps(fields, separators=(",", ":"))[:-1],
        )

    def with_match(self, *, hides_match: bool) -> str:
        """Return the JSON, with the name that matched in ``b`` unless it is hidden."""
        if hides_match:
            return self.text + "}"
        match = json.dumps(self.subscription or self.channel)
        return f'{self.text},"b":{match}}}'
