"""The part of the client that manages channel groups."""

from __future__ import annotations

from collections.abc import Iterable

from ..protocol import names
from . import on_demand
from .core import ClientCore, QueryParams

__all__ = ["ChannelGroupCalls"]

Names = str | Iterable[str]


class ChannelGroupCalls:
    """The channel-group registry; ``PresenceClient`` says what every method takes."""

    _core: ClientCore

    async def add_channels(
        self,
        group: str,
        channels: Names,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> None:
        """Add channels to a group, which need not exist before."""
        operation = on_demand.AddChannelsOperation(
            subscribe_key=self._core.config.subscribe_key,
            group=names.one_group(group),
            channels=names.some_channels(channels),
        )
        await self._core.ask(operation, query_params, timeout_s)

    async def remove_channels(
        self,
        group: str,
        channels: Names,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> None:
        """Take channels out of a group; unknown ones are no error."""
        operation = on_demand.RemoveChannelsOperation(
            subscribe_key=self._core.config.subscribe_key,
            group=names.one_group(group),
            channels=names.some_channels(channels),
        )
        await self._core.ask(operation, query_params, timeout_s)

    async def delete_group(
        self,
        group: str,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> None:
        """Delete a group; an unknown one is no error."""
        operation = on_demand.DeleteGroupOperation(
            subscribe_key=self._core.config.subscribe_key, group=names.one_group(group)
        )
        await self._core.ask(operation, query_params, timeout_s)

    async def list_channels(
        self,
        group: str,
        *,
        query_params: QueryParams = None,
        timeout_s: float | None = None,
    ) -> tuple[str, ...]:
        """Return the channels of a group; none for an unknown one."""
        operation = on_demand.ListChannelsOperation(
            subscribe_key=self._core.config.subscribe_key, group=names.one_group(group)
        )
        return await self._core.ask(operation, query_params, timeout_s)

    async def list_groups(
        self, *, query_params: QueryParams = None, timeout_s: float | None = None
    ) -> tuple[str, ...]:
        """Return the names of all groups of the key set."""
        operation = on_demand.ListGroupsOperation(
            subscribe_key=self._core.config.subscribe_key
        )
        return await self._core.ask(operation, query_params, timeout_s)
