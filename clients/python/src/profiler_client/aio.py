"""A client for asyncio: as `profiler_client.Client`, with `await`. Each is for one event loop."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Optional, Tuple, Type, Union

from . import _core
from ._core import Lease, ProviderPermit
from ._protocol import Acquire, ConnectionLost

__all__ = ["Acquire", "Client", "Lease", "ProviderPermit"]

_MAX_REPLY_BYTES = 16 * 1024 * 1024


class _Transport:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, message: bytes) -> None:
        self._writer.write(message)
        with suppress(OSError):
            await self._writer.drain()

    async def receive(self) -> bytes:
        try:
            return (await self._reader.readuntil(b"\0"))[:-1]
        except (OSError, EOFError) as error:
            raise ConnectionLost(str(error)) from error

    def is_stale(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()


class _Event:
    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.set = self._event.set

    async def wait(self, seconds: Optional[float]) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)


class _Runtime:
    cancelled: Tuple[Type[BaseException], ...] = (asyncio.CancelledError,)

    async def connect(self, path: str) -> _Transport:
        return _Transport(*await asyncio.open_unix_connection(path, limit=_MAX_REPLY_BYTES))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def event(self) -> _Event:
        return _Event()


class Client(_core.Client):
    """A client of an agent at the usual places, or at a socket. For one event loop."""

    def __init__(self, socket_path: Union[str, os.PathLike[str], None] = None) -> None:
        super().__init__(_Runtime(), socket_path)
