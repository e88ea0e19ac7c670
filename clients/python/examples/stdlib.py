"""A job under a lease, with nothing but the standard library: the protocol is JSON and a NUL."""

import json
import os
import socket


class Agent:
    def __init__(self, path: str) -> None:
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.connect(path)
        self.kept = b""

    def call(self, method: str, **parameters):
        call = {"method": "org.profiler.Worker." + method, "parameters": parameters}
        self.stream.sendall(json.dumps(call).encode() + b"\0")
        while b"\0" not in self.kept:
            piece = self.stream.recv(65536)
            if not piece:
                raise ConnectionError("the agent closed the connection")
            self.kept += piece
        message, _, self.kept = self.kept.partition(b"\0")
        reply = json.loads(message)
        if "error" in reply:
            raise RuntimeError(reply["error"], reply.get("parameters"))
        return reply.get("parameters", {})


agent = Agent(os.environ.get("PROFILER_WORKER_SOCKET", "/run/profiler/worker.sock"))
lease = agent.call("Acquire", connector="local_files", scope="process")["grant"]["lease"]
sum(number * number for number in range(1_000_000))  # The job.
usage = agent.call("Release", lease=lease, outcome="succeeded")["usage"]
print(f"CPU {usage['cpu_ns']} ns, memory {usage['memory_peak_bytes']} bytes at most")
