"""Which clients were never closed, told by the tasks that they leave running."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..client.client import PresenceClient

__all__ = ["unclosed_clients"]

_MODULE = "presence_async.client.client"
_REMEDY = (
    "close it: 'async with PresenceClient(...)', or 'await client.close()' at the end"
)


def unclosed_clients(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """Return a line for each client whose task is among those left behind."""
    # Without the module there is no client; importing it here would take a while.
    if _MODULE not in sys.modules:
        return []
    owners = {id(_owner(task)) for task in tasks}
    client_class: type[PresenceClient] = sys.modules[_MODULE].PresenceClient
    return [
        f"{client!r}: {_REMEDY}"
        for client in gc.get_objects()
        # Not ``isinstance``: it asks the object itself, and a proxy may raise anything.
        if issubclass(type(client), client_class) and id(_heartbeats(client)) in owners
    ]


def _owner(task: asyncio.Task[Any]) -> object:
    """Return whose method the task runs; ``None`` if that cannot be told."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return None if frame is None else frame.f_locals.get("self")


def _heartbeats(client: PresenceClient) -> object:
    """Return what runs the task that lasts as long as a client is open."""
    return getattr(getattr(client, "_core", None), "heartbeats", client)
