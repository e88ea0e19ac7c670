"""A real agent for the tests that need one: the program that PROFILER_BIN names."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Iterator

import pytest


class Agent:
    """An agent in a folder of its own."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.worker = folder / "worker.sock"
        self.control = folder / "control.sock"
        self.pins = f"/sys/fs/bpf/profiler-python-{os.getpid()}"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        log = self.folder / "agent.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [self.program, "agent", "--sockets", str(self.folder), "--pins", self.pins],
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while not (self.worker.exists() and self.control.exists()):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"no agent can run here: {log.read_text()}")
            time.sleep(0.02)
        return process

    def kill(self) -> None:
        """Ends it without warning; its sockets stay behind, and are taken away here."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.worker.unlink()
        self.control.unlink()

    def start_again(self) -> None:
        """Another one in its place."""
        self.process = self._start()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    program = os.environ.get("PROFILER_BIN")
    if not program:
        pytest.skip("PROFILER_BIN names no program")
    started = Agent(program, tmp_path)
    yield started
    started.stop()


@pytest.fixture
def nobody(tmp_path: Path) -> Path:
    """A socket that is not there."""
    return tmp_path / "nobody.sock"
