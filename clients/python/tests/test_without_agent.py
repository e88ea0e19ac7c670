"""Where no agent is, jobs run all the same, so many at once."""

import asyncio
import threading
from pathlib import Path

import pytest

from profiler_client import Client, NoAgent, NotGranted, aio


def test_a_job_runs_unmanaged(nobody: Path) -> None:
    client = Client(nobody)
    with client.acquire("mail") as lease:
        assert not lease.is_managed
        assert lease.peek() is None
    assert lease.usage is None
    assert client.wait_if_throttled("mail").level is None
    assert client.hint() is None
    assert not client.report_throttled("service")
    with client.provider("service") as permit:
        assert not permit.is_managed
    with pytest.raises(NoAgent, match="nobody.sock"):
        client.call("org.varlink.service.GetInfo")
    with pytest.raises(NoAgent):
        next(client.watch())


def test_so_many_jobs_run_at_once_and_the_next_waits_for_an_end(nobody: Path) -> None:
    client = Client(nobody)
    first = client.acquire("mail", unmanaged_limit=1)
    with pytest.raises(NotGranted):
        client.acquire("mail", unmanaged_limit=1, max_wait=0.01, on_timeout="refuse")
    # By default a job goes on where memory is not what is short.
    client.acquire("mail", unmanaged_limit=1, max_wait=0.01).release()
    assert not client.acquire("other", unmanaged_limit=1).is_managed
    threading.Timer(0.05, first.release).start()
    client.acquire("mail", unmanaged_limit=1, max_wait=20, on_timeout="refuse").release()


def test_tasks_wait_for_each_other_too(nobody: Path) -> None:
    async def jobs() -> int:
        client = aio.Client(nobody)
        running = most = 0

        async def job() -> None:
            nonlocal running, most
            async with await client.acquire("mail", unmanaged_limit=2):
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.01)
                running -= 1

        await asyncio.gather(*(job() for _ in range(8)))
        return most

    assert asyncio.run(jobs()) == 2


def test_the_jobs_own_error_is_the_one_that_is_raised(nobody: Path) -> None:
    client = Client(nobody)
    with pytest.raises(ZeroDivisionError):
        with client.acquire("mail", unmanaged_limit=1):
            raise ZeroDivisionError
    client.acquire("mail", unmanaged_limit=1, max_wait=0, on_timeout="refuse").release()
