"""A client that blocks; threads can share it."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import (
    Any,
    Awaitable,
    Callable,
    Dict,
    Iterator,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
)

from . import _core
from ._protocol import (
    Acquire,
    Advice,
    Conditions,
    ConnectionLost,
    Grant,
    Usage,
    Waiting,
    WatchState,
    this_thread,
)

_T = TypeVar("_T")


def _now(work: Awaitable[_T]) -> _T:
    """Does work that blocks rather than suspends."""
    try:
        next(work.__await__())
    except StopIteration as end:
        return cast(_T, end.value)
    raise RuntimeError("a blocking client suspended")


class _Transport:
    def __init__(self, path: str) -> None:
        self._kept = b""
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.stream.connect(path)
        except BaseException:
            self.stream.close()
            raise

    async def send(self, message: bytes) -> None:
        with suppress(OSError):
            self.stream.sendall(message)

    async def receive(self) -> bytes:
        while b"\0" not in self._kept:
            try:
                piece = self.stream.recv(65536)
            except OSError as error:
                raise ConnectionLost(str(error)) from error
            if not piece:
                raise ConnectionLost("the agent closed the connection")
            self._kept += piece
        message, _, self._kept = self._kept.partition(b"\0")
        return message

    def is_stale(self) -> bool:
        # What nobody asked for makes it useless, too.
        poll = select.poll()
        poll.register(self.stream, select.POLLIN | select.POLLRDHUP)
        return bool(poll.poll(0))

    def close(self) -> None:
        self.stream.close()


class _Event:
    def __init__(self) -> None:
        self._event = threading.Event()
        self.set = self._event.set

    async def wait(self, seconds: Optional[float]) -> None:
        self._event.wait(seconds)


class _Runtime:
    cancelled: Tuple[Type[BaseException], ...] = ()

    async def connect(self, path: str) -> _Transport:
        return _Transport(path)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def event(self) -> _Event:
        return _Event()


class Lease:
    """The right to run one job, until the end of its `with` block or `release`."""

    def __init__(self, lease: _core.Lease) -> None:
        self._lease = lease

    @property
    def grant(self) -> Optional[Grant]:
        """What the agent granted; `None` if there was no agent."""
        return self._lease.grant

    @property
    def usage(self) -> Optional[Usage]:
        """What the job used, after release; `None` if nobody counted."""
        return self._lease.usage

    @property
    def is_managed(self) -> bool:
        """Whether an agent gave the slot."""
        return self._lease.is_managed

    @property
    def id(self) -> Optional[int]:
        """The lease's number, if an agent gave it."""
        return self._lease.id

    def peek(self) -> Optional[Usage]:
        """What the job used so far; `None` if nobody counts."""
        return _now(self._lease.peek())

    def attach_this_thread(self) -> None:
        """The calling thread works for the job too, from now on."""
        _now(self._lease.call("Attach", {"tid": this_thread()}))

    def attach_process(self, pid: int) -> None:
        """A process works for the job too, from now on."""
        _now(self._lease.attach_process(pid))

    def detach_this_thread(self) -> None:
        """The calling thread works for the job no more."""
        _now(self._lease.call("Detach", {"tid": this_thread()}))

    def release(self, outcome: Optional[str] = None) -> Optional[Usage]:
        """Gives the slot back, and tells what the job used in all; `None` if nobody counted.

        The outcome is `succeeded`, `failed` or `cancelled`. A second release does nothing.
        """
        return _now(self._lease.release(outcome))

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        _now(self._lease.__aexit__(kind, error, trace))


class ProviderPermit:
    """A place at an external service, until the end of its `with` block or `release`."""

    def __init__(self, permit: _core.ProviderPermit) -> None:
        self._permit = permit

    @property
    def is_managed(self) -> bool:
        """Whether an agent gave the place."""
        return self._permit.is_managed

    def release(self) -> None:
        """Gives the place back. A second release does nothing."""
        _now(self._permit.release())

    def __enter__(self) -> ProviderPermit:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Client:
    """A client of an agent at the usual places, or at a socket."""

    def __init__(self, socket_path: Union[str, os.PathLike[str], None] = None) -> None:
        self._core = _core.Client(_Runtime(), socket_path)

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
        return Lease(_now(self._core.acquire(connector, on_waiting=on_waiting, **options)))

    def wait_if_throttled(
        self, connector: Optional[str] = None, max_wait: float = 300.0
    ) -> Conditions:
        """Waits until conditions are normal for a connector, or the host, at most so long.

        The caller goes on either way, so nothing can deadlock; without an agent there is no wait.
        """
        return _now(self._core.wait_if_throttled(connector, max_wait))

    def hint(self, connector: Optional[str] = None) -> Optional[Advice]:
        """Advice for jobs of a connector, or for the host; `None` without an agent."""
        return _now(self._core.hint(connector))

    def preflight(self, connector: str, **parameters: Any) -> Optional[Dict[str, Any]]:
        """Whether a job would get a slot now; `None` without an agent."""
        return _now(self._core.preflight(connector, **parameters))

    def provider(
        self, name: str, lease: Optional[Lease] = None, max_wait: Optional[float] = None
    ) -> ProviderPermit:
        """Waits for a place at an external service, and takes it."""
        of = None if lease is None else lease._lease
        return ProviderPermit(_now(self._core.provider(name, of, max_wait)))

    def report_throttled(self, provider: str, retry_after: Optional[float] = None) -> bool:
        """Tells that a service said "too many requests"; whether there is an agent that heard it."""
        return _now(self._core.report_throttled(provider, retry_after))

    def watch(self, connector: Optional[str] = None) -> Iterator[WatchState]:
        """Gives the state at once, and then at each change; of several the latest.

        If the agent is replaced, goes on with the new one; raises if none comes.
        """
        states = self._core.watch(connector)
        try:
            with suppress(StopAsyncIteration):
                while True:
                    yield _now(states.__anext__())
        finally:
            _now(states.aclose())

    def call(self, method: str, **parameters: Any) -> Dict[str, Any]:
        """Calls any method by its full name; raises `NoAgent` if there is none to call."""
        return _now(self._core.call(method, **parameters))

    def close(self) -> None:
        """Closes idle connections. Leases go on."""
        self._core.close()
