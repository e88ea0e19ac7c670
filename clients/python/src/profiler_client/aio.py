"""A client for asyncio: as `profiler_client.Client`, with `await`."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, AsyncIterator, Callable, Dict, List, Optional, Sequence, Type, Union, cast

from ._protocol import (
    NO_CONDITIONS,
    PAUSE_SECONDS,
    RETURN_SECONDS,
    WORKER,
    Acquire,
    Advice,
    Conditions,
    ConnectionLost,
    Grant,
    NoAgent,
    Reply,
    Usage,
    Waiting,
    WatchState,
    conditions,
    decode,
    encode,
    milliseconds,
    this_thread,
    worker_sockets,
)

__all__ = ["Acquire", "Client", "Lease", "ProviderPermit"]

_IDLE = 16
_MAX_REPLY_BYTES = 16 * 1024 * 1024


class Connection:
    """A connection to an agent. What the agent gave to it ends with it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, candidates: Sequence[str]) -> Connection:
        """Connects to the first socket where somebody answers."""
        reason: Optional[OSError] = None
        place = ""
        for path in candidates:
            try:
                return cls(*await asyncio.open_unix_connection(path, limit=_MAX_REPLY_BYTES))
            except OSError as error:
                # What is there and refuses says more than what is not there.
                if reason is None or not isinstance(error, FileNotFoundError):
                    reason, place = error, path
        raise NoAgent(f"no agent at {place}: {reason}") from reason

    async def send(self, method: str, parameters: Dict[str, Any], *, more: bool = False) -> None:
        """Sends a call."""
        self._writer.write(encode(method, parameters, more=more, oneway=False))
        # If it went away, it may have said why: whoever receives will see.
        with suppress(OSError):
            await self._writer.drain()

    async def receive(self) -> Reply:
        """The next reply."""
        try:
            message = await self._reader.readuntil(b"\0")
        except (OSError, EOFError) as error:
            raise ConnectionLost(str(error)) from error
        return decode(message[:-1])

    async def call(self, method: str, parameters: Dict[str, Any]) -> Dict[str, Any]:
        """Calls a method that gives one reply."""
        await self.send(method, parameters)
        return (await self.receive()).parameters

    def is_stale(self) -> bool:
        """Whether the agent has closed it."""
        return self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        """Ends it, and what the agent gave to it."""
        self._writer.close()


class Lease:
    """The right to run one job, until the end of its `async with` block or `release`.

    Tasks of one event loop share their thread: a job that is a task is told apart from others only
    if it has the thread, or a process, to itself.
    """

    def __init__(
        self,
        client: Client,
        request: Acquire,
        thread: int,
        connection: Optional[Connection],
        grant: Optional[Grant],
    ) -> None:
        self._client = client
        self._request = request
        self._thread = thread
        self._connection = connection
        self._is_over = False
        self.grant = grant
        """What the agent granted; `None` if there was no agent."""
        self.usage: Optional[Usage] = None
        """What the job used, after release; `None` if nobody counted."""

    @property
    def is_managed(self) -> bool:
        """Whether an agent gave the slot."""
        return self.grant is not None

    @property
    def id(self) -> Optional[int]:
        """The lease's number, if an agent gave it."""
        return None if self.grant is None else self.grant["lease"]

    async def peek(self) -> Optional[Usage]:
        """What the job used so far; `None` if nobody counts."""
        reply = await self._call("Peek", {})
        return None if reply is None else cast(Usage, reply["usage"])

    async def attach_process(self, pid: int) -> None:
        """A process works for the job too, from now on."""
        await self._call("Attach", {"pid": pid})

    async def release(self, outcome: Optional[str] = None) -> Optional[Usage]:
        """Gives the slot back, and tells what the job used in all; `None` if nobody counted.

        The outcome is `succeeded`, `failed` or `cancelled`. A second release does nothing.
        """
        if self._is_over:
            return self.usage
        reply = None
        try:
            reply = await self._call("Release", {"outcome": outcome})
        finally:
            self._is_over = True
            connection, self._connection = self._connection, None
            if connection is None:
                self._client._local.give_back(self._request.connector)
            elif reply is not None:
                self._client._give_back(connection)
            else:
                connection.close()
        self.usage = None if reply is None else reply["usage"]
        return self.usage

    async def _call(self, method: str, parameters: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """Calls; if the agent went away, gets the lease back and calls again."""
        if self._connection is None:
            return None
        parameters = {"lease": self.id, **parameters}
        try:
            return await self._connection.call(WORKER + method, parameters)
        except ConnectionLost:
            self._connection.close()
            self._connection = await self._client._resume(
                self._request.parameters(self._thread, lease=self.id)
            )
            return await self._connection.call(WORKER + method, parameters)

    async def __aenter__(self) -> Lease:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        outcome = "succeeded"
        if kind is not None:
            outcome = "cancelled" if issubclass(kind, asyncio.CancelledError) else "failed"
        try:
            await self.release(outcome)
        except Exception:
            # The job's own error matters more.
            if kind is None:
                raise


class ProviderPermit:
    """A place at an external service, until the end of its `async with` block or `release`."""

    def __init__(self, client: Client, connection: Optional[Connection], permit: int) -> None:
        self._client = client
        self._connection = connection
        self._permit = permit

    @property
    def is_managed(self) -> bool:
        """Whether an agent gave the place."""
        return self._connection is not None

    async def release(self) -> None:
        """Gives the place back. A second release does nothing."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await connection.call(WORKER + "ReleaseProvider", {"permit": self._permit})
        except ConnectionLost:
            # The place ended with the connection.
            connection.close()
        else:
            self._client._give_back(connection)

    async def __aenter__(self) -> ProviderPermit:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()


class LocalBound:
    """Bounds on jobs while no agent is there."""

    def __init__(self) -> None:
        self._running: Dict[str, int] = {}
        self._waiting: List[asyncio.Future[None]] = []

    async def take(self, connector: str, limit: int, patience: Optional[float]) -> bool:
        """Waits for a place at most so long, and takes it; whether there was one."""
        deadline = None if patience is None else time.monotonic() + patience
        while self._running.get(connector, 0) >= limit:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(ended)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(ended, left)
        self.take_anyway(connector)
        return True

    def take_anyway(self, connector: str) -> None:
        """Takes a place, over the limit too."""
        self._running[connector] = self._running.get(connector, 0) + 1

    def give_back(self, connector: str) -> None:
        """Gives a place back."""
        left = self._running.get(connector, 0) - 1
        if left > 0:
            self._running[connector] = left
        else:
            self._running.pop(connector, None)
        waiting, self._waiting = self._waiting, []
        for ended in waiting:
            if not ended.done():
                ended.set_result(None)


class Client:
    """A client of an agent at the usual places, or at a socket. For one event loop."""

    def __init__(self, socket_path: Union[str, os.PathLike[str], None] = None) -> None:
        named = None if socket_path is None else (os.fspath(socket_path),)
        self._candidates = named or worker_sockets()
        self._idle: List[Connection] = []
        self._local = LocalBound()

    async def acquire(
        self,
        connector: Union[str, Acquire],
        *,
        on_waiting: Optional[Callable[[Waiting], None]] = None,
        **options: Any,
    ) -> Lease:
        """Waits for a slot, and takes it. `options` are the fields of `Acquire`.

        Raises `NotGranted` or another `AgentError`. Without an agent the job is to run all the same:
        see `Lease.is_managed`. Cancelling it gives up the place in the queue.
        """
        request = connector if isinstance(connector, Acquire) else Acquire(connector, **options)
        thread, began = this_thread(), time.monotonic()
        while True:
            connection = None
            try:
                connection = await self._connect()
                grant = await _wait_for_grant(connection, request.parameters(thread), on_waiting)
                return Lease(self, request, thread, connection, grant)
            except ConnectionLost:
                # It was there a moment ago.
                if connection is not None:
                    connection.close()
                if time.monotonic() - began > RETURN_SECONDS:
                    return await self._acquire_without_agent(request, thread)
                await asyncio.sleep(PAUSE_SECONDS)
            except NoAgent:
                return await self._acquire_without_agent(request, thread)
            except BaseException:
                if connection is not None:
                    connection.close()
                raise

    async def _acquire_without_agent(self, request: Acquire, thread: int) -> Lease:
        began, limit = time.monotonic(), max(1, request.unmanaged_limit)
        if not await self._local.take(request.connector, limit, request.patience()):
            if request.on_timeout == "refuse":
                raise request.refusal(time.monotonic() - began)
            self._local.take_anyway(request.connector)
        return Lease(self, request, thread, None, None)

    async def wait_if_throttled(
        self, connector: Optional[str] = None, max_wait: float = 300.0
    ) -> Conditions:
        """Waits until conditions are normal for a connector, or the host, at most so long.

        The caller goes on either way, so nothing can deadlock; without an agent there is no wait.
        """
        parameters = {"connector": connector, "max_wait_ms": milliseconds(max_wait)}
        reply = await self._ask("WaitIfThrottled", parameters)
        return NO_CONDITIONS if reply is None else conditions(reply)

    async def hint(self, connector: Optional[str] = None) -> Optional[Advice]:
        """Advice for jobs of a connector, or for the host; `None` without an agent."""
        reply = await self._ask("Hint", {"connector": connector})
        return None if reply is None else cast(Advice, reply["hint"])

    async def preflight(self, connector: str, **parameters: Any) -> Optional[Dict[str, Any]]:
        """Whether a job would get a slot now; `None` without an agent."""
        return await self._ask("Preflight", {"connector": connector, **parameters})

    async def provider(
        self, name: str, lease: Optional[Lease] = None, max_wait: Optional[float] = None
    ) -> ProviderPermit:
        """Waits for a place at an external service, and takes it."""
        parameters = {
            "provider": name,
            "lease": None if lease is None else lease.id,
            "max_wait_ms": milliseconds(max_wait),
        }
        try:
            connection = await self._connect()
        except NoAgent:
            return ProviderPermit(self, None, 0)
        try:
            reply = await connection.call(WORKER + "AcquireProvider", parameters)
        except ConnectionLost:
            connection.close()
            return ProviderPermit(self, None, 0)
        except BaseException:
            connection.close()
            raise
        return ProviderPermit(self, connection, reply["permit"])

    async def report_throttled(self, provider: str, retry_after: Optional[float] = None) -> bool:
        """Tells that a service said "too many requests"; whether there is an agent that heard it."""
        parameters = {"provider": provider, "retry_after_ms": milliseconds(retry_after)}
        return await self._ask("ReportThrottled", parameters) is not None

    async def watch(self, connector: Optional[str] = None) -> AsyncIterator[WatchState]:
        """Gives the state at once, and then at each change; of several the latest.

        If the agent is replaced, goes on with the new one; raises if none comes.
        """
        lost: Optional[float] = None
        while True:
            connection = None
            try:
                connection = await Connection.open(self._candidates)
                await connection.send(WORKER + "Watch", {"connector": connector}, more=True)
                while True:
                    reply = await connection.receive()
                    lost = None
                    yield cast(WatchState, reply.parameters)
                    if not reply.continues:
                        return
            except (NoAgent, ConnectionLost):
                now = time.monotonic()
                if lost is None and connection is None:
                    raise
                lost = now if lost is None else lost
                if now - lost > RETURN_SECONDS:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            finally:
                if connection is not None:
                    connection.close()

    async def call(self, method: str, **parameters: Any) -> Dict[str, Any]:
        """Calls any method by its full name; raises `NoAgent` if there is none to call."""
        connection = await self._connect()
        try:
            reply = await connection.call(method, parameters)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return reply

    def close(self) -> None:
        """Closes idle connections. Leases go on."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    async def _ask(self, method: str, parameters: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        for _ in range(2):
            try:
                return await self.call(WORKER + method, **parameters)
            except NoAgent:
                return None
            except ConnectionLost:
                # An idle connection may have ended just now.
                continue
        return None

    async def _connect(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale():
                return connection
            connection.close()
        return await Connection.open(self._candidates)

    def _give_back(self, connection: Connection) -> None:
        if len(self._idle) < _IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    async def _resume(self, parameters: Dict[str, Any]) -> Connection:
        """Gets a lease back that was there before the agent or the connection went away."""
        began = time.monotonic()
        while True:
            connection = None
            try:
                connection = await Connection.open(self._candidates)
                await connection.call(WORKER + "Acquire", parameters)
                return connection
            except (NoAgent, ConnectionLost):
                if connection is not None:
                    connection.close()
                if time.monotonic() - began > RETURN_SECONDS:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            except BaseException:
                if connection is not None:
                    connection.close()
                raise


async def _wait_for_grant(
    connection: Connection,
    parameters: Dict[str, Any],
    on_waiting: Optional[Callable[[Waiting], None]],
) -> Grant:
    await connection.send(WORKER + "Acquire", parameters, more=True)
    while True:
        reply = (await connection.receive()).parameters
        if reply.get("grant") is not None:
            return cast(Grant, reply["grant"])
        if on_waiting is not None and reply.get("waiting") is not None:
            on_waiting(cast(Waiting, reply["waiting"]))
