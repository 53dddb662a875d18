"""The whole story of pictures: class folders in, a version that answers pictures out."""

import base64
import csv
import json

import pytest

from fettle.modalities.image import ImageEncoder
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
    words = fettle("tune", "shapes", "--model", "model", "--max-tokens", "9")
    assert words.code == 2
    assert "--max-tokens cuts texts" in words.err


def test_pictures_are_augmented_as_asked_and_replay_sees_views(place, fettle, monkeypatch):
    monkeypatch.chdir(place)
    changed = spied(monkeypatch)
    asked = ("tune", "shapes", "--model", "model", "--rungs", "features,top", "--name", "views",
             "--augment", "trivial,mixup=0.2,erasing=0.25,views=2", "--set", "epochs=3", "--json")
    tuned = fettle(*asked)
    assert tuned.code == 0, tuned.err
    plan = json.loads((place / tuned.json["run"] / "plan.json").read_text())
    assert {name: plan["pictures"][name] for name in ("augment", "mixup", "erasing", "views")} == {
        "augment": "trivial", "mixup": 0.2, "erasing": 0.25, "views": 2}
    said = " ".join(plan["reasons"])
    assert "see 2 views of each picture in turn" in said
    assert "TrivialAugment" in said
    encoder = json.loads((place / tuned.json["run"] / "version" / "encoder.json").read_text())
    assert encoder["side"] == 32
    tests = seen_by(place / tuned.json["run"] / "version", sorted(place.glob("shapes/test/*/*")))
    learned = seen_by(place / tuned.json["run"] / "version", sorted(
        one for one in place.glob("shapes/train/*/*") if one.name != "broken.png"))
    assert len(changed & learned) > len(learned) / 2
    assert not changed & tests, "a test picture was changed"
    wrong = fettle("tune", "shapes", "--model", "model", "--augment", "deletion=0.1")
    assert wrong.code == 2
    assert "No augmentation of pictures is called 'deletion'" in wrong.err


def spied(monkeypatch):
    """The pixels of every picture that is augmented from now on."""
    changed, views = set(), ImageEncoder.views

    def spy(self, item, rng):
        changed.add(item.tobytes())
        return views(self, item, rng)

    monkeypatch.setattr(ImageEncoder, "views", spy)
    return changed


def seen_by(version, paths):
    """The pixels that the version's encoder makes of these pictures."""
    encoder = ImageEncoder.load({"encoder.json": version / "encoder.json"})
    cells = [f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
             for path in paths]
    return {item.tobytes() for item in encoder.encode([(cell,) for cell in cells])}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "csv"])
def test_labels_of_pictures_go_out_come_back_and_are_learned_from(
    place, fettle, monkeypatch, tmp_path, form
):
    """Through Label Studio's JSON, which carries the pictures, and through a CSV of hashes."""
    monkeypatch.chdir(place)
    name = f"labelled-{form}"
    assert fettle("tune", "shapes", "--model", "model", "--rungs", "features", "--name",
                  name).code == 0
    for at in range(40):
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / "new" / f"{at}.png").write_bytes(
            encoded(drawn(CLASSES[at % 3], seed=2000 + at)))
    asked = tmp_path / f"to-label.{form}"
    done = fettle("label", "suggest", name, tmp_path / "new", "--count", "30", "--out", asked)
    assert done.code == 0, done.err
    if form == "json":
        tasks = json.loads(asked.read_text())
        assert all(one["data"]["picture"].startswith("data:image/png;base64,") for one in tasks)
        for one in tasks:
            right = CLASSES[int(one["data"]["fettle_id"].partition(".")[0]) % 3]
            one["annotations"] = [{"completed_by": {"email": "ann"}, "result": [{
                "type": "choices", "from_name": "label", "value": {"choices": [right]}}]}]
        asked.write_text(json.dumps(tasks))
    else:
        with asked.open(newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.DictReader(stream))
        with asked.open("w", newline="", encoding="utf-8") as stream:
            out = csv.DictWriter(stream, list(lines[0]))
            out.writeheader()
            out.writerows({**one, "label": CLASSES[int(one["fettle_id"].partition(".")[0]) % 3]}
                          for one in lines)
    reviewed = tmp_path / "reviewed.csv"
    assert fettle("label", "read", asked, "--out", reviewed).code == 0
    done = fettle("retrain", name, reviewed, "--rungs", "features")
    assert done.code == 0, done.err
    assert f"{name}@2 is the challenger" in done.out
