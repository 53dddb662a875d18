"""The whole story of pictures: class folders in, a version that answers pictures out."""

import base64
import json

import pytest

from pictures import CLASSES, class_folders, drawn, encoded, timm_folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("story")
    class_folders(folder / "shapes" / "train", 24)
    class_folders(folder / "shapes" / "test", 8, seed=500)
    (folder / "shapes" / "train" / "bar" / "broken.png").write_bytes(b"no picture")
    timm_folder(folder / "model", "test_resnet", side=32)
    return folder


def test_from_class_folders_to_an_answer(place, fettle, monkeypatch):
    monkeypatch.chdir(place)
    tuned = fettle("tune", "shapes", "--model", "model", "--rungs", "features,top", "--json")
    assert tuned.code == 0, tuned.err
    assert "train/bar/broken.png" in tuned.err or "broken" in json.dumps(tuned.json)
    accuracy = tuned.json["test"][0]
    assert (accuracy["rows"], accuracy["name"]) == (24, "accuracy")
    assert accuracy["value"] > 0.6  # three shapes; a guess gives 0.33
    run = place / tuned.json["run"]
    plan = json.loads((run / "plan.json").read_text())
    assert plan["modality"] == "image"
    assert plan["pictures"]["side"] == 32
    top = json.loads((run / "rungs" / "top" / "rung.json").read_text())
    assert any("difference 0 in the same batch" in note for note in top["notes"])

    asked = fettle("predict", "shapes", "shapes/test/disc/000.png", "gone.png", "--json")
    assert asked.code == 0, asked.err
    answer = json.loads(asked.out.splitlines()[0])
    assert answer["id"] == "shapes/test/disc/000.png"
    assert answer["value"] in CLASSES
    assert "gone.png" in asked.err

    (place / "new").mkdir()
    (place / "new" / "1.png").write_bytes(encoded(drawn("ring", seed=900)))
    folder = fettle("predict", "shapes", "--input", "new", "--json")
    assert json.loads(folder.out)["id"] == "1.png"

    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert len(page) < 3_000_000


def test_a_version_is_asked_the_same_pictures_elsewhere(place, fettle, monkeypatch, tmp_path):
    """The certificate carries the pictures: nothing of where they were read is needed."""
    monkeypatch.chdir(place)
    tuned = fettle("tune", "shapes", "--model", "model", "--rungs", "features", "--name", "moved",
                   "--json")
    assert tuned.code == 0, tuned.err
    from fettle import pipeline
    from fettle.stages.serving import prove

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    opened = pipeline.open_version(str(place / tuned.json["run"] / "version"))
    assert prove(opened) < 1e-4
    content = base64.b64encode(encoded(drawn("bar", seed=3))).decode()
    assert opened.outputs([(f"data:image/png;base64,{content}",)]).shape == (1, 3)


def test_a_plan_of_pictures_can_be_edited(place, fettle, monkeypatch):
    monkeypatch.chdir(place)
    asked = ("plan", "shapes", "--model", "model", "--rungs", "features", "--name", "edited")
    text = fettle(*asked).out
    (place / "plan.yaml").write_text(text.replace("side: 32", "side: 48"))
    done = fettle("tune", "--config", "plan.yaml", "--json")
    assert done.code == 0, done.err
    made = json.loads((place / done.json["run"] / "plan.json").read_text())
    assert made["pictures"]["side"] == 48
    (place / "plan.yaml").write_text(text.replace("augment: light", "augment: lightt"))
    wrong = fettle("tune", "--config", "plan.yaml")
    assert wrong.code == 2
    assert "Did you mean 'light'?" in wrong.err


def test_the_other_verbs_take_pictures_too(place, fettle, monkeypatch):
    monkeypatch.chdir(place)
    asked = ("tune", "shapes", "--model", "model", "--rungs", "features", "--name", "asked")
    assert fettle(*asked).code == 0
    scored = fettle("evaluate", "asked", "shapes/test", "--json")
    assert scored.code == 0, scored.err
    assert scored.json["rows"] == 24
    deep = fettle("audit", "shapes", "--deep", "--model", "model", "--json")
    assert deep.code == 0, deep.err
    left = fettle("export", "asked", "--to", "torch", "--out", "out", "--json")
    assert left.code == 0, left.err
    assert left.json["changed"] == 0
    refused = fettle("export", "asked", "--to", "peft", "--out", "other")
    assert refused.code == 2
    assert "asked@1 reads pictures, and peft is no form of such a version" in refused.err


def test_texts_and_pictures_are_not_mixed_up(place, fettle, monkeypatch, tiny):
    monkeypatch.chdir(place)
    wrong = fettle("tune", "shapes", "--model", tiny)
    assert wrong.code == 2
    assert "reads texts" in wrong.err
    default = fettle("tune", "shapes")
    assert default.code == 2
    assert "hf download timm/" in default.err
