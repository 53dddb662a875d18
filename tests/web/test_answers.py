"""What a server answers: both protocols, its metrics and its document, over a real connection."""

import json
import re

import pytest

from fettle import pipeline


@pytest.fixture(scope="module")
def expected(machine, two_versions):
    from stories import pinned

    def of(version: str, texts: list[str]):
        with pinned(machine):
            return pipeline.predict(version, texts, registry=str(two_versions / ".fettle"))[0]

    return of


TEXTS = ["my card is lost", "top up money", "pay late now now"]


def test_rows_are_answered_as_predict_answers_them_each_under_an_id_of_its_own(server, expected):
    heard = server.predict(*TEXTS)
    assert heard.status == 200
    assert heard.headers["x-fettle-version"] == "tickets@1"
    assert heard.json["version"] == "tickets@1"
    assert heard.json["model"] == "tickets"
    found = heard.json["predictions"]
    assert len({one["id"] for one in found}) == 3
    for one, said in zip(found, expected("tickets@1", TEXTS), strict=True):
        assert one["value"] == said.value
        assert one["confidence"] == pytest.approx(said.confidence, abs=1e-4)
        assert one["probabilities"] == pytest.approx(dict(said.probabilities), abs=1e-4)
        assert one["stream"] in ("user", "audit")


def test_a_row_is_a_text_or_an_object_and_what_is_not_read_is_said(server):
    heard = server.predict("top up", {"text": "top up", "more": 1}, {"text": None})
    first, second, _ = heard.json["predictions"]
    assert first["probabilities"] == pytest.approx(second["probabilities"], abs=1e-4)
    assert heard.json["warnings"] == [
        "Row 3 has nothing to read: its answer says nothing.",
        "Not read: more. The model reads text.",
    ]


def test_half_of_the_ids_are_of_the_audit_stream_where_that_was_asked_for(server):
    found = server.predict(*["pay"] * 200).json["predictions"]
    assert 60 < sum(one["stream"] == "audit" for one in found) < 140


@pytest.mark.parametrize("path", ["/v2/models/tickets", "/v2/models/tickets/versions/1"])
def test_the_open_inference_protocol_describes_and_answers(server, path, expected):
    told = server.ask("GET", path).json
    assert told["versions"] == ["1"]
    assert told["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert server.ask("GET", f"{path}/ready").status == 200
    heard = server.ask("POST", f"{path}/infer", {
        "id": "mine",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [3, 1],
                    "data": [[text] for text in TEXTS]}],
    })
    assert heard.status == 200
    answer = heard.json
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("mine", "tickets", "1")
    outputs = {one["name"]: one for one in answer["outputs"]}
    said = expected("tickets@1", TEXTS)
    assert outputs["label"]["data"] == [one.value for one in said]
    classes = json.loads(told["parameters"]["classes"])
    assert outputs["probabilities"]["shape"] == [3, len(classes)]
    first = dict(zip(classes, outputs["probabilities"]["data"][: len(classes)], strict=True))
    for label, value in said[0].probabilities.items():
        assert first[label] == pytest.approx(value, abs=1e-4)
    assert all(re.fullmatch("[0-9a-f]{32}", id) for id in outputs["prediction_id"]["data"])


def test_only_the_outputs_that_were_asked_for_come(server):
    heard = server.ask("POST", "/v2/models/tickets/infer", {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["pay"]}],
        "outputs": [{"name": "confidence"}],
    })
    assert [one["name"] for one in heard.json["outputs"]] == ["confidence"]


def test_health_says_live_and_ready(server):
    assert server.ask("GET", "/v2/health/live").json == {"live": True}
    assert server.ask("GET", "/v2/health/ready").json == {"ready": True, "version": "tickets@1"}
    assert server.ask("GET", "/v2").json["name"] == "fettle"


def test_metrics_count_rows_requests_and_the_version(server):
    before = server.metric("fettle_rows_total")
    server.predict("a", "b", "c")
    assert server.metric("fettle_rows_total") == before + 3
    assert server.metric('fettle_version{version="tickets@1"}') == 1
    assert server.metric('fettle_requests_total{route="predict",status="200"}') >= 1
    assert server.metric("fettle_queue_rows") == 0
    server.wait_until(lambda: server.metric("fettle_held_bytes") == 0)
    assert server.metric("fettle_journal_failing") == 0


def references(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from [inner] if key == "$ref" else references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_document_names_every_route_and_every_schema_that_it_refers_to(server):
    document = server.ask("GET", "/openapi.json").json
    schemas = document["components"]["schemas"]
    assert document["openapi"].startswith("3.1")
    assert set(references(document)) == {
        f"#/components/schemas/{name}" for name in schemas
    }
    for path, operations in document["paths"].items():
        for method in set(operations) & {"get", "post"}:
            heard = server.ask(method.upper(), path.replace("{number}", "1"), {})
            assert heard.status in (200, 422), (path, method, heard.content)
    answer = server.predict("pay").json
    assert set(schemas["Answer"]["required"]) <= set(answer)
    assert set(schemas["Answer"]["properties"]["predictions"]["items"]["required"]) == set(
        answer["predictions"][0]
    )


def test_a_connection_serves_many_requests(server):
    body = b'{"rows": ["pay"]}'
    one = (b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
           + body)
    last = one.replace(b"host", b"connection: close\r\nhost", 1)
    assert server.raw(one, one, last).count(b"200 OK") == 3
    assert server.raw(one + one + last).count(b"200 OK") == 3, "all at once, in their order"
