"""A real agent for the tests that need one: the program that PROFILER_BIN names."""

from __future__ import annotations

import json
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
            set_pins = f"pins_directory={json.dumps(self.pins)}"
            set_state = f"state_directory={json.dumps(str(self.folder / 'state'))}"
            process = subprocess.Popen(
                [self.program, "agent", "--sockets", str(self.folder)]
                + ["--set", set_pins, "--set", set_state],
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while not (self.worker.exists() and self.control.exists()):
            if process.poll() is not None or time.monotonic() > deadline:
                told = f"no agent runs here: {log.read_text()}"
                # Root may do all that an agent needs.
                pytest.fail(told) if os.geteuid() == 0 else pytest.skip(told)
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
        """Ends it, and what it left in the kernel if it died before."""
        self.process.terminate()
        self.process.wait()
        subprocess.run([self.program, "unpin", "--pins", self.pins], stdout=subprocess.DEVNULL)


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
