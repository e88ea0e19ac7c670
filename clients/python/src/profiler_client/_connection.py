"""Connections to an agent, and the bound on jobs while there is none.

Nothing here knows sockets, or clocks to sleep by: a `Runtime` gives those.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Protocol, Tuple, Type, Union, cast

from ._protocol import (
    PAUSE_SECONDS,
    RETURN_SECONDS,
    WORKER,
    Acquire,
    ConnectionLost,
    Grant,
    NoAgent,
    Reply,
    Waiting,
    decode,
    encode,
    worker_sockets,
)

_IDLE = 16


class Transport(Protocol):
    """A stream to an agent."""

    async def send(self, message: bytes) -> None:
        """Sends a message. If the agent went away, it may have said why: whoever receives will see."""

    async def receive(self) -> bytes:
        """The next message without its NUL; raises `ConnectionLost` at the end."""

    def is_stale(self) -> bool:
        """Whether the agent has closed it."""

    def close(self) -> None:
        """Ends it, and what the agent gave to it."""


class Event(Protocol):
    """Something that happens once."""

    def set(self) -> object:
        """It happened."""

    async def wait(self, seconds: Optional[float]) -> None:
        """Waits for it, at most so long."""


class Runtime(Protocol):
    """How a client waits and connects."""

    cancelled: Tuple[Type[BaseException], ...]
    """What a job raises that was told to end."""

    async def connect(self, path: str) -> Transport:
        """Connects to a socket; raises `OSError`."""

    async def sleep(self, seconds: float) -> None:
        """Lets time pass."""

    def event(self) -> Event:
        """Something that has not happened yet."""


class Connection:
    """A connection to an agent. What the agent gave to it ends with it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def send(self, method: str, parameters: Dict[str, Any], *, more: bool = False) -> None:
        """Sends a call."""
        await self.transport.send(encode(method, parameters, more=more))

    async def receive(self) -> Reply:
        """The next reply."""
        return decode(await self.transport.receive())

    async def call(self, method: str, parameters: Dict[str, Any]) -> Dict[str, Any]:
        """Calls a method that gives one reply."""
        await self.send(method, parameters)
        return (await self.receive()).parameters

    async def wait_for_grant(
        self, parameters: Dict[str, Any], on_waiting: Optional[Callable[[Waiting], None]]
    ) -> Grant:
        """Asks for a slot, and tells each change of the place in the queue until there is one."""
        await self.send(WORKER + "Acquire", parameters, more=True)
        while True:
            reply = (await self.receive()).parameters
            if reply.get("grant") is not None:
                return cast(Grant, reply["grant"])
            if on_waiting is not None and reply.get("waiting") is not None:
                on_waiting(cast(Waiting, reply["waiting"]))

    def close(self) -> None:
        """Ends it, and what the agent gave to it."""
        self.transport.close()


class Connections:
    """Where the agent is looked for, and connections that are used again. Threads can share it."""

    def __init__(self, runtime: Runtime, path: Union[str, os.PathLike[str], None]) -> None:
        self.runtime = runtime
        self._candidates = worker_sockets() if path is None else (os.fspath(path),)
        self.idle: List[Connection] = []
        self._lock = threading.Lock()

    async def open(self) -> Connection:
        """Connects to the first socket where somebody answers."""
        reason: Optional[OSError] = None
        place = ""
        for path in self._candidates:
            try:
                return Connection(await self.runtime.connect(path))
            except OSError as error:
                # What is there and refuses says more than what is not there.
                if reason is None or not isinstance(error, FileNotFoundError):
                    reason, place = error, path
        raise NoAgent(f"no agent at {place}: {reason}") from reason

    async def take(self) -> Connection:
        """One that is there already, or a new one."""
        while True:
            with self._lock:
                connection = self.idle.pop() if self.idle else None
            if connection is None:
                return await self.open()
            if not connection.transport.is_stale():
                return connection
            connection.close()

    def give_back(self, connection: Connection) -> None:
        """Keeps it for whoever comes next."""
        with self._lock:
            if len(self.idle) < _IDLE:
                self.idle.append(connection)
                return
        connection.close()

    async def resume(self, parameters: Dict[str, Any]) -> Connection:
        """Gets a lease back that was there before the agent or the connection went away."""
        began = time.monotonic()
        while True:
            connection = None
            try:
                connection = await self.open()
                await connection.call(WORKER + "Acquire", parameters)
                return connection
            except BaseException as error:
                if connection is not None:
                    connection.close()
                is_away = isinstance(error, (NoAgent, ConnectionLost))
                if not is_away or time.monotonic() - began > RETURN_SECONDS:
                    raise
            await self.runtime.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        """Closes those that nobody uses."""
        with self._lock:
            idle, self.idle = self.idle, []
        for connection in idle:
            connection.close()


class LocalBound:
    """Bounds on jobs while no agent is there. Threads can share it."""

    def __init__(self) -> None:
        self._running: Dict[str, int] = {}
        self._waiting: List[Event] = []
        self._lock = threading.Lock()

    async def take(self, runtime: Runtime, request: Acquire) -> None:
        """Waits for a place as long as the request says, and takes it; raises `NotGranted`."""
        began, patience = time.monotonic(), request.patience()
        limit = max(1, request.unmanaged_limit)
        while True:
            waited = time.monotonic() - began
            is_over = patience is not None and waited >= patience
            ended = runtime.event()
            with self._lock:
                running = self._running.get(request.connector, 0)
                if running < limit or (is_over and request.on_timeout != "refuse"):
                    self._running[request.connector] = running + 1
                    return
                self._waiting.append(ended)
            if is_over:
                raise request.refusal(waited)
            await ended.wait(None if patience is None else patience - waited)

    def give_back(self, connector: str) -> None:
        """Gives a place back."""
        with self._lock:
            left = self._running.get(connector, 0) - 1
            if left > 0:
                self._running[connector] = left
            else:
                self._running.pop(connector, None)
            waiting, self._waiting = self._waiting, []
        for ended in waiting:
            ended.set()
