"""What the blocking and the asynchronous client have in common: messages, errors, shapes.

No socket is used here. Shapes are typed dictionaries: what the agent sends, as it sends it.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple, TypedDict

MAX_CALL_BYTES = 64 * 1024
"""Longest call that an agent takes, without its NUL."""

WORKER = "org.profiler.Worker."
RETURN_SECONDS = 5.0
"""How long an agent may take to come back, as when it is replaced by a newer one."""
PAUSE_SECONDS = 0.05
"""How long to wait between tries to reach it."""


class Waiting(TypedDict):
    """A place in the queue."""

    position: int
    constraint: str
    waited_ms: int
    estimate_ms: Optional[int]


class Advice(TypedDict):
    """How much of the host a job had better use now."""

    level: str
    threads: int
    chunk_bytes: int
    stream_above_bytes: int
    trim_memory: bool


class Grant(TypedDict):
    """A slot."""

    lease: int
    connector: str
    how: str
    exceeds: List[str]
    waited_ms: int
    memory_bytes: int
    hint: Advice


class ConnectorState(TypedDict):
    """The state of a connector."""

    connector: str
    level: str
    limit: int
    in_use: int
    waiting: int


class WatchState(TypedDict):
    """The state of the host and of connectors."""

    level: str
    connectors: List[ConnectorState]


Usage = Dict[str, Any]
"""What a job used: figures by name, `None` for what is unknown; docs/record.md says what each means."""


@dataclass(frozen=True)
class Conditions:
    """How conditions are after a wait."""

    level: Optional[str]
    """`normal`, `elevated`, `high` or `critical`; `None` if no agent is there to tell."""
    waited: float
    """Seconds."""


class ProtocolError(Exception):
    """What came from the agent is no reply."""


class NoAgent(Exception):
    """Nobody answers at the socket."""


class ConnectionLost(Exception):
    """The connection ended before the reply came."""


class AgentError(Exception):
    """The agent says no. `name` is the error's full name, `parameters` its data."""

    def __init__(self, name: str, parameters: Dict[str, Any]) -> None:
        super().__init__(name, parameters)
        self.name = name
        self.parameters = parameters

    def __str__(self) -> str:
        return f"{self.name} {json.dumps(self.parameters)}"


class NotGranted(AgentError):
    """No slot came free in time."""


def error_of(name: str, parameters: Dict[str, Any]) -> AgentError:
    """The exception for an error that the agent sent."""
    kind = NotGranted if name == WORKER + "NotGranted" else AgentError
    return kind(name, parameters)


@dataclass(frozen=True)
class Reply:
    """A reply, and whether another follows."""

    parameters: Dict[str, Any]
    continues: bool


def encode(method: str, parameters: Dict[str, Any], *, more: bool) -> bytes:
    """A call as a message. Parameters that are `None` are left out."""
    call: Dict[str, Any] = {
        "method": method,
        "parameters": {name: value for name, value in parameters.items() if value is not None},
    }
    if more:
        call["more"] = True
    message = json.dumps(call, ensure_ascii=False, allow_nan=False).encode() + b"\0"
    if len(message) > MAX_CALL_BYTES + 1:
        raise ValueError(f"a call of {len(message) - 1} bytes; at most {MAX_CALL_BYTES} are taken")
    return message


def decode(message: bytes) -> Reply:
    """The reply in a message without its NUL; raises what it says if it is an error."""
    try:
        reply = json.loads(message)
        parameters = reply.get("parameters") or {}
        error, continues = reply.get("error"), bool(reply.get("continues"))
    except (ValueError, AttributeError) as reason:
        raise ProtocolError(f"not a reply: {message[:80]!r}") from reason
    if error is not None:
        raise error_of(error, parameters)
    return Reply(parameters, continues)


@dataclass(frozen=True)
class Acquire:
    """A request for a slot. Times are in seconds; what is `None` is left to the profile."""

    connector: str
    source: Optional[str] = None
    label: Optional[str] = None
    scope: Optional[str] = None
    priority: Optional[str] = None
    memory_bytes: Optional[int] = None
    providers: Optional[Sequence[str]] = None
    max_wait: Optional[float] = None
    deadline: Optional[float] = None
    on_timeout: Optional[str] = None
    unmanaged_limit: int = 2
    """How many jobs of the connector a client runs at once while no agent is there."""

    def parameters(self, thread: Optional[int], lease: Optional[int] = None) -> Dict[str, Any]:
        """What to send; with `lease` to get one back that was there before."""
        return {
            "connector": self.connector,
            "source": self.source,
            "label": self.label,
            "scope": self.scope,
            "tid": thread if self.scope == "thread" else None,
            "priority": self.priority,
            "memory_bytes": self.memory_bytes,
            "providers": None if self.providers is None else list(self.providers),
            "max_wait_ms": milliseconds(self.max_wait) if lease is None else 0,
            "deadline_ms": milliseconds(self.deadline),
            "on_timeout": self.on_timeout,
            "lease": lease,
        }

    def patience(self) -> Optional[float]:
        """How long to wait while no agent is there; `None` for as long as it takes."""
        waits = [wait for wait in (self.max_wait, self.deadline) if wait is not None]
        return min(waits) if waits else None

    def refusal(self, waited: float) -> NotGranted:
        """What there is to say when the job may not run."""
        data = {"constraints": ["cap"], "waited_ms": milliseconds(waited), "estimate_ms": None}
        return NotGranted(WORKER + "NotGranted", data)


def this_thread() -> int:
    """The calling thread, as its pid namespace numbers it."""
    return threading.get_native_id()


def milliseconds(seconds: Optional[float]) -> Optional[int]:
    """Whole milliseconds; `None` stays `None`."""
    return None if seconds is None else max(0, round(seconds * 1000))


def conditions(reply: Dict[str, Any]) -> Conditions:
    """What a reply to `WaitIfThrottled` says."""
    return Conditions(reply["level"], reply["waited_ms"] / 1000)


NO_CONDITIONS = Conditions(None, 0.0)


def _sockets(variable: str, name: str) -> Tuple[str, ...]:
    named = os.environ.get(variable)
    if named:
        return (named,)
    own = os.environ.get("XDG_RUNTIME_DIR")
    folders = ([os.path.join(own, "profiler")] if own else []) + ["/run/profiler"]
    return tuple(os.path.join(folder, name) for folder in folders)


def worker_sockets() -> Tuple[str, ...]:
    """Where to look for the agent's socket for workers, the first first."""
    return _sockets("PROFILER_WORKER_SOCKET", "worker.sock")


def control_sockets() -> Tuple[str, ...]:
    """Where to look for the agent's socket for operators, the first first."""
    return _sockets("PROFILER_CONTROL_SOCKET", "control.sock")
