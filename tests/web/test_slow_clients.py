"""Slow clients: told and let go after the second that this server gives them; it lives on."""

import time

import pytest

from serving import serving

HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture(scope="module")
def server(machine, two_versions):
    with serving(machine, two_versions, "--read-timeout", "1s") as one:
        yield one


@pytest.fixture(autouse=True)
def _lives_on(server):
    yield
    server.wait_until(lambda: server.predict("my card is lost").status == 200)
    assert not any("Traceback" in line for line in server.said), "".join(server.said)


SLOW = {
    "a body that is shorter than it says": (b"content-length: 50\r\n\r\n{", b""),
    "a body that never ends": (b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a head that never ends": (b"x-more: a", b"b"),
}


@pytest.mark.parametrize(("first", "drip"), SLOW.values(), ids=SLOW)
def test_a_slow_client_is_told_and_let_go(server, first, drip):
    found = server.raw(HEAD + first, drip=drip, pause=0.1)
    assert found.startswith(b"HTTP/1.1 408"), found
    assert b"did not arrive within 1 s" in found


def test_a_client_that_says_nothing_is_let_go_and_not_before_its_second_is_over(server):
    started = time.monotonic()
    assert server.raw(b"").startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started > 0.9


def test_a_second_request_may_not_be_slow_either(server):
    first = HEAD + b'content-length: 17\r\n\r\n{"rows": ["pay"]}'
    for _ in range(20):
        found = server.raw(first, HEAD + b"x-more: a", pause=0.1)
        if found.startswith(b"HTTP/1.1 200"):  # else a busy machine was slow to send the first
            break
    assert found.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in found
