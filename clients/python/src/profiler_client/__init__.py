"""Slots and backpressure from a profiler agent.

A worker asks for a slot before it runs a job and gives it back afterwards; then it learns what the
job used. `Client` blocks and may be shared by threads; `profiler_client.aio` has one for asyncio.
"""

from ._blocking import Client, Lease, ProviderPermit
from ._protocol import (
    MAX_CALL_BYTES,
    Acquire,
    AgentError,
    Conditions,
    ConnectionLost,
    Grant,
    NoAgent,
    NotGranted,
    ProtocolError,
    Usage,
    Waiting,
    WatchState,
    control_sockets,
    worker_sockets,
)

__all__ = [
    "MAX_CALL_BYTES",
    "Acquire",
    "AgentError",
    "Client",
    "Conditions",
    "ConnectionLost",
    "Grant",
    "Lease",
    "NoAgent",
    "NotGranted",
    "ProtocolError",
    "ProviderPermit",
    "Usage",
    "Waiting",
    "WatchState",
    "control_sockets",
    "worker_sockets",
]
