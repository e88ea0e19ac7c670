"""A client that blocks; threads can share it.

Each lease has a connection of its own while it lasts, so that one thread's waiting holds up nobody
else; connections are used again.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from types import TracebackType
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Type, Union, cast

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

_IDLE = 16


class Connection:
    """A connection to an agent. What the agent gave to it ends with it."""

    def __init__(self, candidates: Sequence[str]) -> None:
        reason: Optional[OSError] = None
        place = ""
        for path in candidates:
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                stream.connect(path)
            except OSError as error:
                stream.close()
                # What is there and refuses says more than what is not there.
                if reason is None or not isinstance(error, FileNotFoundError):
                    reason, place = error, path
                continue
            self._stream = stream
            self._kept = b""
            return
        raise NoAgent(f"no agent at {place}: {reason}") from reason

    def send(
        self, method: str, parameters: Dict[str, Any], *, more: bool = False, oneway: bool = False
    ) -> None:
        """Sends a call."""
        message = encode(method, parameters, more=more, oneway=oneway)
        try:
            self._stream.sendall(message)
        except OSError as error:
            if not oneway:
                # It may have said why before it went away.
                self.receive()
            raise ConnectionLost(str(error)) from error

    def receive(self) -> Reply:
        """The next reply."""
        while b"\0" not in self._kept:
            try:
                piece = self._stream.recv(65536)
            except OSError as error:
                raise ConnectionLost(str(error)) from error
            if not piece:
                raise ConnectionLost("the agent closed the connection")
            self._kept += piece
        message, _, self._kept = self._kept.partition(b"\0")
        return decode(message)

    def call(self, method: str, parameters: Dict[str, Any]) -> Dict[str, Any]:
        """Calls a method that gives one reply."""
        self.send(method, parameters)
        return self.receive().parameters

    def is_stale(self) -> bool:
        """Whether the agent has closed it, or said something that nobody asked for."""
        poll = select.poll()
        poll.register(self._stream, select.POLLIN | select.POLLRDHUP)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Ends it, and what the agent gave to it."""
        self._stream.close()


class LocalBound:
    """Bounds on jobs while no agent is there."""

    def __init__(self) -> None:
        self._running: Dict[str, int] = {}
        self._ended = threading.Condition()

    def take(self, connector: str, limit: int, patience: Optional[float]) -> bool:
        """Waits for a place at most so long, and takes it; whether there was one."""
        with self._ended:
            if not self._ended.wait_for(
                lambda: self._running.get(connector, 0) < limit, patience
            ):
                return False
            self._running[connector] = self._running.get(connector, 0) + 1
            return True

    def take_anyway(self, connector: str) -> None:
        """Takes a place, over the limit too."""
        with self._ended:
            self._running[connector] = self._running.get(connector, 0) + 1

    def give_back(self, connector: str) -> None:
        """Gives a place back."""
        with self._ended:
            left = self._running.get(connector, 0) - 1
            if left > 0:
                self._running[connector] = left
            else:
                self._running.pop(connector, None)
            self._ended.notify_all()


class Lease:
    """The right to run one job, until the end of its `with` block or `release`."""

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

    def peek(self) -> Optional[Usage]:
        """What the job used so far; `None` if nobody counts."""
        reply = self._call("Peek", {})
        return None if reply is None else cast(Usage, reply["usage"])

    def attach_this_thread(self) -> None:
        """The calling thread works for the job too, from now on."""
        self._call("Attach", {"tid": this_thread()})

    def attach_process(self, pid: int) -> None:
        """A process works for the job too, from now on."""
        self._call("Attach", {"pid": pid})

    def detach_this_thread(self) -> None:
        """The calling thread works for the job no more."""
        self._call("Detach", {"tid": this_thread()})

    def release(self, outcome: Optional[str] = None) -> Optional[Usage]:
        """Gives the slot back, and tells what the job used in all; `None` if nobody counted.

        The outcome is `succeeded`, `failed` or `cancelled`. A second release does nothing.
        """
        if self._is_over:
            return self.usage
        reply = None
        try:
            reply = self._call("Release", {"outcome": outcome})
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

    def _call(self, method: str, parameters: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """Calls; if the agent went away, gets the lease back and calls again."""
        if self._connection is None:
            return None
        parameters = {"lease": self.id, **parameters}
        try:
            return self._connection.call(WORKER + method, parameters)
        except ConnectionLost:
            self._connection.close()
            self._connection = self._client._resume(
                self._request.parameters(self._thread, lease=self.id)
            )
            return self._connection.call(WORKER + method, parameters)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        try:
            self.release("succeeded" if kind is None else "failed")
        except Exception:
            # The job's own error matters more.
            if kind is None:
                raise


class ProviderPermit:
    """A place at an external service, until the end of its `with` block or `release`."""

    def __init__(self, client: Client, connection: Optional[Connection], permit: int) -> None:
        self._client = client
        self._connection = connection
        self._permit = permit

    @property
    def is_managed(self) -> bool:
        """Whether an agent gave the place."""
        return self._connection is not None

    def release(self) -> None:
        """Gives the place back. A second release does nothing."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.call(WORKER + "ReleaseProvider", {"permit": self._permit})
        except ConnectionLost:
            # The place ended with the connection.
            connection.close()
        else:
            self._client._give_back(connection)

    def __enter__(self) -> ProviderPermit:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Client:
    """A client of an agent at the usual places, or at a socket."""

    def __init__(self, socket_path: Union[str, os.PathLike[str], None] = None) -> None:
        named = None if socket_path is None else (os.fspath(socket_path),)
        self._candidates = named or worker_sockets()
        self._idle: List[Connection] = []
        self._lock = threading.Lock()
        self._local = LocalBound()

    def acquire(
        self,
        connector: Union[str, Acquire],
        *,
        on_waiting: Optional[Callable[[Waiting], None]] = None,
        **options: Any,
    ) -> Lease:
        """Waits for a slot, and takes it. `options` are the fields of `Acquire`.

        Raises `NotGranted` or another `AgentError`. Without an agent the job is to run all the same:
        see `Lease.is_managed`. `on_waiting` is told each change of the place in the queue.
        """
        request = connector if isinstance(connector, Acquire) else Acquire(connector, **options)
        thread, began = this_thread(), time.monotonic()
        while True:
            connection = None
            try:
                connection = self._connect()
                grant = _wait_for_grant(connection, request.parameters(thread), on_waiting)
                return Lease(self, request, thread, connection, grant)
            except ConnectionLost:
                # It was there a moment ago.
                if connection is not None:
                    connection.close()
                if time.monotonic() - began > RETURN_SECONDS:
                    return self._acquire_without_agent(request, thread)
                time.sleep(PAUSE_SECONDS)
            except NoAgent:
                return self._acquire_without_agent(request, thread)
            except BaseException:
                if connection is not None:
                    connection.close()
                raise

    def _acquire_without_agent(self, request: Acquire, thread: int) -> Lease:
        began, limit = time.monotonic(), max(1, request.unmanaged_limit)
        if not self._local.take(request.connector, limit, request.patience()):
            if request.on_timeout == "refuse":
                raise request.refusal(time.monotonic() - began)
            self._local.take_anyway(request.connector)
        return Lease(self, request, thread, None, None)

    def wait_if_throttled(
        self, connector: Optional[str] = None, max_wait: float = 300.0
    ) -> Conditions:
        """Waits until conditions are normal for a connector, or the host, at most so long.

        The caller goes on either way, so nothing can deadlock; without an agent there is no wait.
        """
        parameters = {"connector": connector, "max_wait_ms": milliseconds(max_wait)}
        reply = self._ask("WaitIfThrottled", parameters)
        return NO_CONDITIONS if reply is None else conditions(reply)

    def hint(self, connector: Optional[str] = None) -> Optional[Advice]:
        """Advice for jobs of a connector, or for the host; `None` without an agent."""
        reply = self._ask("Hint", {"connector": connector})
        return None if reply is None else cast(Advice, reply["hint"])

    def preflight(self, connector: str, **parameters: Any) -> Optional[Dict[str, Any]]:
        """Whether a job would get a slot now; `None` without an agent."""
        return self._ask("Preflight", {"connector": connector, **parameters})

    def provider(
        self, name: str, lease: Optional[Lease] = None, max_wait: Optional[float] = None
    ) -> ProviderPermit:
        """Waits for a place at an external service, and takes it."""
        parameters = {
            "provider": name,
            "lease": None if lease is None else lease.id,
            "max_wait_ms": milliseconds(max_wait),
        }
        try:
            connection = self._connect()
        except NoAgent:
            return ProviderPermit(self, None, 0)
        try:
            reply = connection.call(WORKER + "AcquireProvider", parameters)
        except ConnectionLost:
            connection.close()
            return ProviderPermit(self, None, 0)
        except BaseException:
            connection.close()
            raise
        return ProviderPermit(self, connection, reply["permit"])

    def report_throttled(self, provider: str, retry_after: Optional[float] = None) -> bool:
        """Tells that a service said "too many requests"; whether there is an agent that heard it."""
        parameters = {"provider": provider, "retry_after_ms": milliseconds(retry_after)}
        return self._ask("ReportThrottled", parameters) is not None

    def watch(self, connector: Optional[str] = None) -> Iterator[WatchState]:
        """Gives the state at once, and then at each change; of several the latest.

        If the agent is replaced, goes on with the new one; raises if none comes.
        """
        lost: Optional[float] = None
        while True:
            connection = None
            try:
                connection = Connection(self._candidates)
                connection.send(WORKER + "Watch", {"connector": connector}, more=True)
                while True:
                    reply = connection.receive()
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
                time.sleep(PAUSE_SECONDS)
            finally:
                if connection is not None:
                    connection.close()

    def call(self, method: str, **parameters: Any) -> Dict[str, Any]:
        """Calls any method by its full name; raises `NoAgent` if there is none to call."""
        connection = self._connect()
        try:
            reply = connection.call(method, parameters)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return reply

    def close(self) -> None:
        """Closes idle connections. Leases go on."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _ask(self, method: str, parameters: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        for _ in range(2):
            try:
                return self.call(WORKER + method, **parameters)
            except NoAgent:
                return None
            except ConnectionLost:
                # An idle connection may have ended just now.
                continue
        return None

    def _connect(self) -> Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return Connection(self._candidates)
            if not connection.is_stale():
                return connection
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _resume(self, parameters: Dict[str, Any]) -> Connection:
        """Gets a lease back that was there before the agent or the connection went away."""
        began = time.monotonic()
        while True:
            connection = None
            try:
                connection = Connection(self._candidates)
                connection.call(WORKER + "Acquire", parameters)
                return connection
            except (NoAgent, ConnectionLost):
                if connection is not None:
                    connection.close()
                if time.monotonic() - began > RETURN_SECONDS:
                    raise
                time.sleep(PAUSE_SECONDS)
            except BaseException:
                if connection is not None:
                    connection.close()
                raise


def _wait_for_grant(
    connection: Connection,
    parameters: Dict[str, Any],
    on_waiting: Optional[Callable[[Waiting], None]],
) -> Grant:
    connection.send(WORKER + "Acquire", parameters, more=True)
    while True:
        reply = connection.receive().parameters
        if reply.get("grant") is not None:
            return cast(Grant, reply["grant"])
        if on_waiting is not None and reply.get("waiting") is not None:
            on_waiting(cast(Waiting, reply["waiting"]))
