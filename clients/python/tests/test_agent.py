"""Against a real agent, as far as one can run here."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import Agent

from profiler_client import AgentError, Client, NotGranted, aio
from profiler_client._blocking import _Transport


def test_a_thread_learns_what_its_job_used(agent: Agent) -> None:
    client = Client(agent.worker)
    before = time.thread_time_ns()
    with client.acquire("mail", scope="thread", label="a job") as lease:
        assert lease.is_managed
        sum(range(2_000_000))
        so_far = lease.peek()
    used = time.thread_time_ns() - before
    assert so_far is not None and lease.usage is not None
    assert 0 < so_far["cpu_ns"] <= lease.usage["cpu_ns"] <= used
    assert lease.usage["cpu_ns"] > used / 2
    assert lease.usage["tasks"] == 1
    assert lease.usage["lost"] == {}


def test_threads_wait_for_each_others_slots(agent: Agent) -> None:
    client = Client(agent.worker)
    set_limit(agent, "mail", 2)
    running, most, lock = 0, 0, threading.Lock()

    def job() -> None:
        nonlocal running, most
        with client.acquire("mail", scope="thread", max_wait=60, on_timeout="refuse"):
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1

    threads = [threading.Thread(target=job) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def set_limit(agent: Agent, connector: str, limit: int) -> None:
    worker = Client(agent.worker)
    # The first job of a connector makes it known.
    worker.acquire(connector).release()
    control = Client(agent.control)
    control.call("org.profiler.Control.SetLimit", connector=connector, limit=limit)


def test_who_waits_is_told_the_place_and_refused_in_time(agent: Agent) -> None:
    client = Client(agent.worker)
    set_limit(agent, "mail", 1)
    places = []
    with client.acquire("mail"):
        began = time.monotonic()
        with pytest.raises(NotGranted) as refused:
            client.acquire(
                "mail",
                max_wait=0.2,
                on_timeout="refuse",
                on_waiting=lambda place: places.append(place["position"]),
            )
        assert 0.15 < time.monotonic() - began < 20
    assert places == [1]
    assert refused.value.parameters["waited_ms"] >= 200


def test_what_is_wrong_is_named(agent: Agent) -> None:
    client = Client(agent.worker)
    with pytest.raises(AgentError) as error:
        client.call("org.profiler.Worker.Acquire", connector="mail", scope="galaxy")
    assert error.value.name == "org.varlink.service.InvalidParameter"
    assert error.value.parameters == {"parameter": "scope"}
    with pytest.raises(AgentError, match="NoSuchProvider"):
        client.provider("nobody")


def test_a_lease_lives_on_when_the_agent_is_killed(agent: Agent) -> None:
    client = Client(agent.worker)
    before = time.thread_time_ns()
    with client.acquire("mail", scope="thread") as lease:
        agent.kill()
        sum(range(2_000_000))
        used_while_away = time.thread_time_ns() - before
        threading.Timer(0.2, agent.start_again).start()
    assert lease.usage is not None
    assert lease.usage["cpu_ns"] > used_while_away / 2
    while agent.process.poll() is not None:
        time.sleep(0.01)


def test_the_state_is_told_at_once(agent: Agent) -> None:
    client = Client(agent.worker)
    with client.acquire("mail"):
        state = next(client.watch("mail"))
    assert [connector["in_use"] for connector in state["connectors"]] == [1]


def test_a_dropped_connection_is_opened_again(agent: Agent) -> None:
    client = Client(agent.worker)
    client.hint()
    (idle,) = client._core._connections.idle
    assert isinstance(idle.transport, _Transport)
    idle.transport.stream.shutdown(2)
    assert client.hint() is not None


def test_asyncio_takes_leases_and_gives_them_back(agent: Agent) -> None:
    async def jobs() -> None:
        client = aio.Client(agent.worker)
        set_limit(agent, "mail", 1)
        async with await client.acquire("mail") as lease:
            assert lease.is_managed
            waiting = asyncio.ensure_future(client.acquire("mail"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await lease.peek() is not None
        assert lease.usage is not None
        # Who gave up waiting is in nobody's way.
        async with await client.acquire("mail", max_wait=20, on_timeout="refuse"):
            state = await client.watch("mail").__anext__()
            assert state["connectors"][0]["in_use"] == 1

    asyncio.run(jobs())


def test_the_example_needs_nothing_but_the_standard_library(agent: Agent) -> None:
    example = Path(__file__).parent.parent / "examples" / "stdlib.py"
    run = subprocess.run(
        [sys.executable, "-I", str(example)],
        env={**os.environ, "PROFILER_WORKER_SOCKET": str(agent.worker)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("CPU ")


def test_a_foreign_client_is_served(agent: Agent) -> None:
    varlink = pytest.importorskip("varlink")
    with varlink.Client.new_with_address(f"unix:{agent.worker}") as client:
        assert "org.profiler.Worker" in client.get_interfaces()
        with client.open("org.profiler.Worker") as worker:
            lease = worker.Acquire(connector="mail", scope="process")["grant"]["lease"]
            usage = worker.Release(lease=lease, outcome="succeeded")["usage"]
            assert usage["cpu_ns"] > 0
            with pytest.raises(varlink.VarlinkError):
                worker.Release(lease=lease)
            for state in worker.Watch(_more=True):
                assert state["level"] in ("normal", "elevated", "high", "critical")
                break
