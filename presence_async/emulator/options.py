"""The options of the emulator and their ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from ..checks import name_tuple, number, validator, whole_number
from ..errors import InvalidArgumentError
from .grant import Grant, access_table
from .profile import EmulatorProfile

__all__ = ["Options"]

_positive = validator(number, above=0)
_count = validator(whole_number, least=0)


def _token(_: object, __: object, token: str | None) -> None:
    is_text = isinstance(token, str) and token.isascii() and token.isprintable()
    if not is_text or not token or " " in str(token):
        raise InvalidArgumentError(
            "control_token", "must be visible ASCII characters without spaces"
        )


def _keys(keys: Iterable[str] | None) -> frozenset[str] | None:
    return None if keys is None else frozenset(name_tuple(keys, "subscribe_keys"))


@attrs.frozen(kw_only=True)
class Options:
    """How the service behaves; ``PresenceEmulator`` documents each option."""

    profile: EmulatorProfile = attrs.field(
        factory=EmulatorProfile, validator=attrs.validators.instance_of(EmulatorProfile)
    )
    publish_key: str = "demo"
    secret_key: str | None = attrs.field(default=None, repr=False)
    control_token: str | None = attrs.field(
        default=None, repr=False, validator=attrs.validators.optional(_token)
    )
    subscribe_keys: frozenset[str] | None = attrs.field(default=None, converter=_keys)
    access: Mapping[str, tuple[Grant, ...]] | None = attrs.field(
        default=None, converter=access_table, repr=False
    )
    idle_poll_s: float = attrs.field(default=280, validator=_positive)
    max_requests_per_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_positive)
    )
    journal_size: int = attrs.field(default=100_000, validator=_count)

    def __attrs_post_init__(self) -> None:
        """Reject an empty secret key, which would verify nothing."""
        if self.secret_key is not None and not self.secret_key:
            raise InvalidArgumentError("secret_key", "must not be empty; write None")
