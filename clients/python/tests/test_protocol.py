"""Messages, without anybody to send them to."""

import pytest

from profiler_client import MAX_CALL_BYTES, AgentError, NotGranted, ProtocolError
from profiler_client._protocol import Acquire, decode, encode, milliseconds


def test_a_call_ends_with_a_nul_and_leaves_out_what_is_not_said() -> None:
    message = encode("a.b", {"x": 1, "y": None}, more=True)
    assert message == b'{"method": "a.b", "parameters": {"x": 1}, "more": true}\0'


def test_a_call_that_no_agent_takes_is_not_sent() -> None:
    with pytest.raises(ValueError, match="at most 65536"):
        encode("a.b", {"x": "y" * MAX_CALL_BYTES}, more=False)
    with pytest.raises(ValueError):
        encode("a.b", {"x": float("nan")}, more=False)


def test_an_error_is_raised_with_its_data() -> None:
    with pytest.raises(NotGranted) as refused:
        decode(b'{"error": "org.profiler.Worker.NotGranted", "parameters": {"waited_ms": 5}}')
    assert refused.value.parameters == {"waited_ms": 5}
    with pytest.raises(AgentError, match="PermissionDenied"):
        decode(b'{"error": "org.varlink.service.PermissionDenied"}')


@pytest.mark.parametrize("message", [b"", b"[]", b"nonsense", b"\xff", b"7"])
def test_what_is_no_reply_is_said_to_be_none(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(message)


def test_figures_above_2_to_the_53_stay_exact() -> None:
    reply = decode(b'{"parameters": {"cpu_ns": 9007199254740993}}')
    assert reply.parameters["cpu_ns"] == 9007199254740993


def test_times_are_sent_in_whole_milliseconds() -> None:
    request = Acquire("a", scope="thread", max_wait=0.0015, deadline=2)
    parameters = request.parameters(thread=7)
    assert (parameters["max_wait_ms"], parameters["deadline_ms"]) == (2, 2000)
    assert parameters["tid"] == 7
    assert milliseconds(-1) == 0
    assert request.patience() == 0.0015


def test_a_lease_that_is_to_be_resumed_does_not_wait() -> None:
    parameters = Acquire("a").parameters(thread=7, lease=3)
    assert (parameters["lease"], parameters["max_wait_ms"], parameters["tid"]) == (3, 0, None)
