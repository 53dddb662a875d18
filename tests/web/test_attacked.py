"""Bad input and strangers: told in one sentence what is wrong; it lives on."""

import pytest

HEAD = b"POST /predict HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture(autouse=True)
def _lives_on(server):
    yield
    heard = server.predict("my card is lost")
    assert heard.status == 200
    assert not any("Traceback" in line for line in server.said), "".join(server.said)


BAD = {
    "no JSON": (b"{", 400, "The body is no JSON"),
    "no object": (b"[1]", 400, "no JSON object"),
    "no UTF-8": (b'{"rows": ["\xff"]}', 400, "no UTF-8: invalid start byte at byte 11"),
    "NaN": (b'{"rows": [NaN]}', 400, "NaN is no number"),
    "Infinity": (b'{"rows": [-Infinity]}', 400, "-Infinity is no number"),
    "a key twice": (b'{"rows": [], "rows": ["a"]}', 400, "'rows' stands twice"),
    "depth": (b"[" * 100_000, 400, "nested too deeply"),
    "depth inside": (b'{"rows": ' + b'{"a":' * 100_000, 400, "nested too deeply"),
    "a wrong key": (b'{"row": ["a"]}', 422, "Did you mean 'rows'?"),
    "no rows": (b'{"rows": []}', 422, "no rows"),
    "not a list": (b'{"rows": "a"}', 422, '{"rows": [{"text": "..."}]}'),
    "a number": (b'{"rows": ["a", 7]}', 422, "Row 2 is 7"),
    "a number in a cell": (b'{"rows": [{"text": 7}]}', 422, "column 'text': 7 is no text"),
    "no column": (b'{"rows": [{"txt": "a"}]}', 422, "Did you mean 'txt'?"),
    "half a pair": (b'{"rows": ["a\\ud800"]}', 422, "character 2 is half of a pair"),
    "many rows": (b'{"rows": [' + b'"a",' * 256 + b'"a"]}', 422, "257 rows are asked at once"),
    "a million rows": (b'{"rows": [' + b'"",' * 999_999 + b'""]}', 413, "larger than 1,048,576"),
}


@pytest.mark.parametrize(("body", "status", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_body_is_refused_in_a_sentence(server, body, status, sentence):
    heard = server.ask("POST", "/predict", body)
    assert (heard.status, sentence in heard.error) == (status, True), heard.content
    assert heard.headers["content-type"] == "application/json"
    assert len(heard.content) < 500


def tensor(**changes):
    return {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"], **changes}


TENSORS = {
    "type": (tensor(datatype="FP32"), "of type 'FP32'; BYTES"),
    "shape": (tensor(shape=[2]), "the shape [2] and 1 texts"),
    "width": (tensor(shape=[1, 2]), "[rows] or [rows, 1]"),
    "no shape": (tensor(shape=None), "the shape None"),
    "no data": (tensor(data=None), "no list `data`"),
    "no text": (tensor(data=[1.5]), "1.5 is no text"),
    "name": (tensor(name="txt"), "Did you mean 'text'?"),
}


@pytest.mark.parametrize(("given", "sentence"), TENSORS.values(), ids=TENSORS)
def test_a_bad_tensor_is_refused_in_a_sentence(server, given, sentence):
    heard = server.ask("POST", "/v2/models/tickets/infer", {"inputs": [given]})
    assert (heard.status, sentence in heard.error) == (422, True), heard.content


@pytest.mark.parametrize("body", [
    {}, {"inputs": {}}, {"inputs": []}, {"inputs": [tensor(), tensor()]},
    {"inputs": [tensor()], "outputs": [{"name": "labels"}]}, {"inputs": [tensor()], "id": 7},
])
def test_a_bad_inference_request_is_refused(server, body):
    assert server.ask("POST", "/v2/models/tickets/infer", body).status == 422


def test_other_models_versions_places_and_methods_are_not_here(server):
    for path in ("/v2/models/other/infer", "/v2/models/tickets/versions/2/infer",
                 "/v2/models/tickets/versions/..%2f1/infer"):
        heard = server.ask("POST", path, {})
        assert heard.status == 404
    assert "tickets@1 is" in server.ask("GET", "/v2/models/tickets/versions/2").error
    assert "/openapi.json lists" in server.ask("GET", "/../etc/passwd").error
    assert server.ask("GET", "/predict").status == 405
    assert server.ask("POST", "/predict", b"x", content_encoding="gzip").status == 415


def test_a_body_is_counted_while_it_arrives_whatever_it_says_of_itself(server):
    before = server.memory_bytes()
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    found = server.raw(HEAD + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 16_000)
    assert b" 200 " not in found
    declared = server.raw(HEAD + b"expect: 100-continue\r\ncontent-length: 1073741824\r\n\r\n")
    assert declared.startswith(b"HTTP/1.1 413")
    assert b"larger than 1,048,576 bytes" in declared
    small = server.raw(HEAD + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 20, b"0\r\n\r\n")
    assert small.startswith(b"HTTP/1.1 413")
    assert server.memory_bytes() - before < 60e6


def test_a_head_that_is_too_large_is_refused(server):
    found = server.raw(HEAD, *[b"x-a: " + b"a" * 30_000 + b"\r\n"] * 8)
    assert not found.startswith(b"HTTP/1.1 200")
    endless = server.raw(HEAD + b"x-a: ", *[b"a" * 30_000] * 8, pause=0.01)
    assert endless.startswith(b"HTTP/1.1 431") or not endless


def test_what_is_no_http_is_refused(server):
    found = server.raw(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 400")
    assert b'{"error": ' in found


def test_a_client_that_goes_away_leaves_nothing_behind(server):
    for _ in range(20):
        server.leave(HEAD + b'content-length: 18\r\n\r\n{"rows": ["pay"]}')
    server.wait_until(lambda: server.metric("fettle_queue_rows") == 0)
    server.wait_until(lambda: server.metric("fettle_held_bytes") == 0)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_host_is_refused(server, host):
    heard = server.ask("POST", "/predict", b'{"rows": ["a"]}', host=host)
    assert (heard.status, "answers as localhost" in heard.error) == (403, True)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://[", "file://"])
def test_a_page_of_another_site_is_refused(server, origin):
    assert server.predict("a", origin=origin).status == 403


def test_pages_and_names_of_this_machine_are_answered(server):
    assert server.predict("a", origin=f"http://localhost:{server.port}").status == 200
    assert server.predict("a", host=f"localhost:{server.port}").status == 200
    assert server.predict("a", host="[::1]:80").status == 200
