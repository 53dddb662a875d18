"""A server of pictures: bytes in, answers out, and a journal that a watch can read."""

import base64
import json

import numpy as np
import pytest

from fettle.store import journal
from pictures import CLASSES, class_folders, drawn, encoded, timm_folder
from serving import serving
from stories import fettle_in

from .test_picturing import BOMB, FORM, form

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, machine):
    folder = tmp_path_factory.mktemp("pictures")
    class_folders(folder / "shapes" / "train", 24)
    class_folders(folder / "shapes" / "test", 16, seed=500)
    timm_folder(folder / "model", "test_resnet", side=32)
    done = fettle_in(machine, "tune", "shapes", "--model", "model", "--rungs", "features",
                     folder=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def server(machine, shelf):
    with serving(machine, shelf, "--picture-limit", "200KiB", "--rows", 8, name="shapes") as one:
        yield one


def png(kind="disc", seed=700, **options):
    return encoded(drawn(kind, seed=seed, **options))


def test_every_way_of_sending_a_picture_gives_one_answer(server):
    content = png()
    plain = base64.b64encode(content).decode()
    heard = [
        server.ask("POST", "/predict", content, content_type="image/png"),
        server.ask("POST", "/predict", content, content_type="application/octet-stream"),
        server.ask("POST", "/predict", form(content), content_type=FORM),
        server.predict(f"data:image/png;base64,{plain}"),
        server.predict(plain),
        server.predict({"picture": plain}),
    ]
    for one in heard:
        assert one.status == 200, one.content
        assert one.headers["x-fettle-version"] == "shapes@1"
        (told,) = one.json["predictions"]
        assert told["value"] in CLASSES
        assert told["probabilities"] == heard[0].json["predictions"][0]["probabilities"]
    several = server.ask("POST", "/predict", form(png("bar"), content), content_type=FORM)
    assert several.json["predictions"][1]["probabilities"] == (
        heard[0].json["predictions"][0]["probabilities"])


def test_the_open_inference_protocol_takes_base64(server):
    told = server.ask("GET", "/v2/models/shapes").json["inputs"][0]
    assert (told["datatype"], told["parameters"]) == ("BYTES", {"content_type": "base64"})
    plain = base64.b64encode(png()).decode()
    heard = server.ask("POST", "/v2/models/shapes/infer", {"inputs": [
        {"name": told["name"], "datatype": "BYTES", "shape": [2], "data": [plain, plain]}]})
    assert heard.status == 200, heard.content
    assert heard.json["outputs"][0]["shape"] == [2]
    raw = server.ask("POST", "/v2/models/shapes/infer", png(), content_type="image/png")
    assert raw.status == 415


def test_what_is_too_much_or_no_picture_is_refused_and_the_server_lives_on(server):
    before = server.memory_bytes()
    ask = {"content_type": "image/png"}
    assert server.ask("POST", "/predict", BOMB, **ask).status == 413
    assert "50 million" in server.ask("POST", "/predict", BOMB, **ask).error
    assert server.ask("POST", "/predict", b"\0" * 300_000, **ask).status == 413
    assert server.ask("POST", "/predict", b"<svg/>", content_type="image/svg+xml").status == 422
    assert server.ask("POST", "/predict", png()[:200], **ask).status == 422
    assert server.ask("POST", "/predict", form(*[png()] * 9), content_type=FORM).status == 422
    assert server.ask("POST", "/predict", form(png(), end=False), content_type=FORM).status == 400
    assert server.predict("http://127.0.0.1/x.png").status == 422
    assert server.ask("POST", "/predict", png(), **ask).status == 200
    assert server.memory_bytes() - before < 60e6
    assert not any("Traceback" in line for line in server.said), "".join(server.said)


def test_the_document_tells_of_pictures(server):
    document = server.ask("GET", "/openapi.json").json
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert {"image/*", "multipart/form-data", "application/json"} <= set(body)


def test_the_journal_holds_no_picture_and_a_watch_sees_that_they_grew_dark(machine, shelf):
    with serving(machine, shelf, name="shapes") as server:
        for part in range(10):
            dark = [encoded((drawn(CLASSES[at % 3], seed=800 + 8 * part + at) * 0.2)
                            .astype(np.uint8)) for at in range(8)]
            heard = server.ask("POST", "/predict", form(*dark), content_type=FORM)
            assert heard.status == 200, heard.content
        assert server.stop() == 0
    found = journal.answers(shelf / ".fettle" / "journal" / "shapes").answers
    found = found[-80:]
    assert all(one.inputs is None for one in found)
    assert set(found[0].traits) == {"brightness", "contrast", "color", "sharpness", "size", "shape"}
    assert found[0].traits["size"] == pytest.approx(np.log2(40), abs=1e-4)
    watched = fettle_in(machine, "watch", "shapes", "--journal", "--window", 40, "--json",
                        folder=shelf)
    assert watched.code == 0, watched.err
    drift = json.loads(watched.out)
    last = drift["windows"][-1]["signals"]
    signals = {one["name"] for one in last}
    assert {"brightness", "sharpness", "size", "embedding"} <= signals
    bright = [one for one in last if one["name"] == "brightness"]
    assert bright[0]["effect"] > 1
    (about,) = [one for one in last if one["name"] == "embedding"]
    assert about["told"] == "what the pictures show"
    assert not any("texts" in note for note in drift["notes"]), drift["notes"]
