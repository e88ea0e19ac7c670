"""What the blocking and the asynchronous client do, written once.

It is written as coroutines over a `Runtime`. That of `aio` suspends; that of the blocking client never
does, and so its coroutines run from begin to end at the first step.

Each lease has a connection of its own while it lasts, so that one job's waiting holds up nobody else;
connections are used again.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, AsyncGenerator, Callable, Dict, Optional, Type, TypeVar, Union, cast

from ._connection import Connection, Connections, LocalBound, Runtime
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
    Usage,
    Waiting,
    WatchState,
    conditions,
    milliseconds,
    this_thread,
)

_Lease = TypeVar("_Lease", bound="Lease")
_Permit = TypeVar("_Permit", bound="ProviderPermit")


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
        reply = await self.call("Peek", {})
        return None if reply is None else cast(Usage, reply["usage"])

    async def attach_process(self, pid: int) -> None:
        """A process works for the job too, from now on."""
        await self.call("Attach", {"pid": pid})

    async def release(self, outcome: Optional[str] = None) -> Optional[Usage]:
        """Gives the slot back, and tells what the job used in all; `None` if nobody counted.

        The outcome is `succeeded`, `failed` or `cancelled`. A second release does nothing.
        """
        if self._is_over:
            return self.usage
        reply = None
        try:
            reply = await self.call("Release", {"outcome": outcome})
        finally:
            self._is_over = True
            connection, self._connection = self._connection, None
            if connection is None:
                self._client._local.give_back(self._request.connector)
            elif reply is not None:
                self._client._connections.give_back(connection)
            else:
                connection.close()
        self.usage = None if reply is None else reply["usage"]
        return self.usage

    async def call(self, method: str, parameters: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """Calls a method about this lease; if the agent went away, gets the lease back and calls again.

        Gives `None` if no agent gave the lease.
        """
        if self._connection is None:
            return None
        parameters = {"lease": self.id, **parameters}
        try:
            return await self._connection.call(WORKER + method, parameters)
        except ConnectionLost:
            self._connection.close()
            again = self._request.parameters(self._thread, lease=self.id)
            self._connection = await self._client._connections.resume(again)
            return await self._connection.call(WORKER + method, parameters)

    async def __aenter__(self: _Lease) -> _Lease:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        outcome = "succeeded"
        if kind is not None:
            cancelled = self._client._connections.runtime.cancelled
            outcome = "cancelled" if issubclass(kind, cancelled) else "failed"
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
        self.is_managed = connection is not None
        """Whether an agent gave the place."""

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
            self._client._connections.give_back(connection)

    async def __aenter__(self: _Permit) -> _Permit:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()


class Client:
    """A client of an agent at the usual places, or at a socket."""

    def __init__(self, runtime: Runtime, path: Union[str, os.PathLike[str], None]) -> None:
        self._connections = Connections(runtime, path)
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
        see `Lease.is_managed`. `on_waiting` is told each change of the place in the queue. Cancelling
        it gives up that place.
        """
        request = connector if isinstance(connector, Acquire) else Acquire(connector, **options)
        thread, began, runtime = this_thread(), time.monotonic(), self._connections.runtime
        while True:
            connection = None
            try:
                connection = await self._connections.take()
                grant = await connection.wait_for_grant(request.parameters(thread), on_waiting)
                return Lease(self, request, thread, connection, grant)
            except NoAgent:
                break
            except BaseException as error:
                if connection is not None:
                    connection.close()
                if not isinstance(error, ConnectionLost):
                    raise
                # It was there a moment ago.
                if time.monotonic() - began > RETURN_SECONDS:
                    break
            await runtime.sleep(PAUSE_SECONDS)
        await self._local.take(runtime, request)
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
        number, wait = None if lease is None else lease.id, milliseconds(max_wait)
        parameters = {"provider": name, "lease": number, "max_wait_ms": wait}
        connection = None
        try:
            connection = await self._connections.take()
            reply = await connection.call(WORKER + "AcquireProvider", parameters)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, (NoAgent, ConnectionLost)):
                return ProviderPermit(self, None, 0)
            raise
        return ProviderPermit(self, connection, reply["permit"])

    async def report_throttled(self, provider: str, retry_after: Optional[float] = None) -> bool:
        """Tells that a service said "too many requests"; whether there is an agent that heard it."""
        parameters = {"provider": provider, "retry_after_ms": milliseconds(retry_after)}
        return await self._ask("ReportThrottled", parameters) is not None

    async def watch(self, connector: Optional[str] = None) -> AsyncGenerator[WatchState, None]:
        """Gives the state at once, and then at each change; of several the latest.

        If the agent is replaced, goes on with the new one; raises if none comes.
        """
        lost: Optional[float] = None
        while True:
            connection = None
            try:
                connection = await self._connections.open()
                await connection.send(WORKER + "Watch", {"connector": connector}, more=True)
                while True:
                    reply = await connection.receive()
                    lost = None
                    yield cast(WatchState, reply.parameters)
                    if not reply.continues:
                        return
            except (NoAgent, ConnectionLost):
                if lost is None and connection is None:
                    raise
                lost = time.monotonic() if lost is None else lost
                if time.monotonic() - lost > RETURN_SECONDS:
                    raise
            finally:
                if connection is not None:
                    connection.close()
            await self._connections.runtime.sleep(PAUSE_SECONDS)

    async def call(self, method: str, **parameters: Any) -> Dict[str, Any]:
        """Calls any method by its full name; raises `NoAgent` if there is none to call."""
        connection = await self._connections.take()
        try:
            reply = await connection.call(method, parameters)
        except BaseException:
            connection.close()
            raise
        self._connections.give_back(connection)
        return reply

    def close(self) -> None:
        """Closes idle connections. Leases go on."""
        self._connections.close()

    async def _ask(self, method: str, parameters: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        for _ in range(2):
            # An idle connection may have ended just now.
            with suppress(ConnectionLost):
                try:
                    return await self.call(WORKER + method, **parameters)
                except NoAgent:
                    return None
        return None
