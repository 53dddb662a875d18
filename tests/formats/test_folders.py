"""Folders: class folders, parts above them, zips, strays, and what cannot be decoded."""

import shutil
import zipfile

import numpy as np
import pytest

from fettle.core.dataset import Schema
from fettle.core.errors import InputError
from fettle.core.pictures import hash_in
from fettle.core.plan import Reading
from fettle.stages.reading import read, read_unlabelled
from pictures import CLASSES, class_folders, drawn, encoded, own_cache, tiff

__all__ = ["own_cache"]


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.fixture
def shapes(tmp_path):
    return class_folders(tmp_path / "shapes", 5)


def test_the_folder_is_the_label_and_the_path_the_id(shapes):
    found = read(Reading(data=str(shapes)))
    assert (found.name, found.rows, found.schema.modality) == ("shapes", 15, "image")
    assert (found.schema.target, found.schema.inputs) == ("label", ("picture",))
    assert found.ids[:2] == ("bar/000.png", "bar/001.png")
    assert found.targets() == [one for one in CLASSES for _ in range(5)]
    cells = [row[0] for row in found.fields()]
    assert all(hash_in(cell) and cell in found.looks for cell in cells)
    assert set(found.parts) == {""}


def test_the_same_pictures_elsewhere_are_the_same_rows(shapes, tmp_path):
    first = read(Reading(data=str(shapes)))
    shutil.move(shapes, tmp_path / "elsewhere")
    assert read(Reading(data=str(tmp_path / "elsewhere"))).fingerprint() == first.fingerprint()


def test_train_and_test_above_the_classes_are_the_parts(tmp_path):
    class_folders(tmp_path / "data" / "Train", 4)
    class_folders(tmp_path / "data" / "test", 2, seed=50)
    class_folders(tmp_path / "data" / "valid", 3, seed=70)
    found = read(Reading(data=str(tmp_path / "data")))
    assert [found.parts.count(one) for one in ("train", "validation", "test")] == [12, 9, 6]
    assert set(found.targets()) == set(CLASSES)


def test_each_part_may_be_a_zip_and_so_may_the_whole(tmp_path):
    (tmp_path / "data").mkdir()
    zipped(class_folders(tmp_path / "a", 4), tmp_path / "data" / "train.zip")
    zipped(class_folders(tmp_path / "b", 2, seed=9), tmp_path / "data" / "test.zip")
    parts = read(Reading(data=str(tmp_path / "data")))
    assert (parts.parts.count("train"), parts.parts.count("test")) == (12, 6)
    assert "train/bar/000.png" in parts.ids
    whole = read(Reading(data=str(zipped(tmp_path / "a", tmp_path / "shapes.zip"))))
    assert (whole.name, whole.rows) == ("shapes", 12)


def test_upper_case_endings_are_pictures_too(shapes):
    (shapes / "bar" / "000.png").rename(shapes / "bar" / "000.PNG")
    (shapes / "bar" / "X.JPeG").write_bytes(encoded(drawn("bar", seed=99), "JPEG"))
    assert read(Reading(data=str(shapes))).rows == 16


def test_strays_are_told_by_name_and_are_not_fatal(shapes):
    (shapes / "README.md").write_text("what this is")
    (shapes / ".DS_Store").write_bytes(b"x")
    (shapes / "lonely.png").write_bytes(encoded(drawn("bar", seed=77)))
    deep = shapes / "bar" / "more"
    deep.mkdir()
    (deep / "deep.png").write_bytes(encoded(drawn("bar", seed=78)))
    found = read(Reading(data=str(shapes)))
    told = " ".join(found.schema.reasons)
    assert all(name in told for name in ("README.md", ".DS_Store", "bar/more/deep.png"))
    assert [one.place for one in found.refused] == ["lonely.png"]
    assert found.targets()[found.ids.index("bar/more/deep.png")] == "bar"


def test_broken_pictures_are_listed_by_name_and_the_others_are_read(tmp_path):
    shapes = class_folders(tmp_path / "shapes", 12)
    whole = (shapes / "bar" / "000.png").read_bytes()
    (shapes / "bar" / "000.png").write_bytes(whole[: len(whole) // 2])
    (shapes / "disc" / "001.png").write_bytes(b"")
    (shapes / "ring" / "002.png").write_bytes(b"no picture")
    found = read(Reading(data=str(shapes)))
    assert {one.place: one.reason.split()[0] for one in found.refused} == {
        "bar/000.png": "it", "disc/001.png": "the", "ring/002.png": "it"}
    assert found.rows == 33
    assert not {one.place for one in found.refused} & set(found.ids)


def test_too_many_broken_pictures_stop_the_reading(shapes):
    for path in (shapes / "bar").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"5 of the 15 pictures.*bar/000\.png"):
        read(Reading(data=str(shapes)))


def test_pictures_without_class_folders_say_what_to_do(tmp_path):
    for at in range(9):
        (tmp_path / f"{at}.png").write_bytes(encoded(drawn("bar", seed=at)))
    with pytest.raises(InputError, match="class folders"):
        read(Reading(data=str(tmp_path)))


def test_to_be_answered_they_need_none(tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    for at in range(3):
        (folder / f"{at}.png").write_bytes(encoded(drawn("bar", seed=at)))
    schema = Schema(None, ("picture",), modality="image")
    assert read_unlabelled(folder, schema).ids == ("0.png", "1.png", "2.png")
    one = read_unlabelled((str(folder / "1.png"), str(folder / "gone.png")), schema)
    assert one.ids == (str(folder / "1.png"),)
    assert [record.reason for record in one.refused] == ["there is no such file"]


def test_a_model_of_pictures_is_not_asked_texts(tmp_path):
    (tmp_path / "a.csv").write_text("text\nhello there\n")
    with pytest.raises(InputError, match="reads pictures"):
        read_unlabelled(tmp_path / "a.csv", Schema(None, ("picture",), modality="image"))


def test_a_link_to_a_folder_is_not_followed(shapes, tmp_path):
    outside = class_folders(tmp_path / "outside", 1, seed=500)
    (shapes / "bar" / "linked").symlink_to(outside / "bar")
    found = read(Reading(data=str(shapes)))
    assert found.rows == 15
    assert any("linked" in reason for reason in found.schema.reasons)


def test_what_is_unusual_about_pictures_is_told(shapes):
    clear = np.dstack([drawn("bar", seed=1), np.full((40, 40), 9, np.uint8)])
    (shapes / "bar" / "clear.png").write_bytes(encoded(clear))
    infrared = tiff(np.dstack([drawn("bar", seed=3)] * 2)[..., :4], photometric=2, extra=(0,))
    (shapes / "bar" / "infrared.tif").write_bytes(infrared)
    twelve = drawn("bar", seed=2)[..., 0].astype(np.uint16) * 16
    (shapes / "bar" / "twelve.png").write_bytes(encoded(twelve))
    (shapes / "bar" / "sixteen.png").write_bytes(encoded(twelve * 16))
    reasons = " ".join(read(Reading(data=str(shapes))).schema.reasons)
    for told in ("1 picture of shapes: see-through parts are laid on white.",
                 "1 picture of shapes: bands beside the colors are not read.",
                 "2 pictures of shapes: 16 bits become 8.",
                 "1 picture of shapes: of 16 bits, and nearly black."):
        assert told in reasons


def test_pictures_of_too_many_bands_are_listed_by_name_with_what_to_do(shapes):
    (shapes / "bar" / "bands.tif").write_bytes(tiff(np.zeros((9, 9, 7), np.uint8), extra=(0,) * 6))
    (one,) = read(Reading(data=str(shapes))).refused
    assert one.place == "bar/bands.tif"
    assert "a TIFF of 7 bands" in one.reason


@pytest.mark.parametrize("ending", ["npy", "dcm"])
def test_arrays_and_scans_that_are_no_pictures_say_how_to_write_them(tmp_path, ending):
    for kind in CLASSES:
        (tmp_path / "scans" / kind).mkdir(parents=True)
        (tmp_path / "scans" / kind / f"1.{ending}").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=f"bar/1.{ending}.* Write each as a PNG"):
        read(Reading(data=str(tmp_path / "scans")))


def test_a_folder_beside_train_and_test_is_no_class(tmp_path):
    for part in ("train", "test"):
        class_folders(tmp_path / "d" / part, number=2)
    class_folders(tmp_path / "d" / "extra", number=1)
    with pytest.raises(InputError, match="'extra', which is no part"):
        read(Reading(data=str(tmp_path / "d")))


def test_flat_pictures_beside_the_classes_are_told_however_many_they_are(shapes):
    (shapes / "unknown.d").mkdir()
    for at in range(30):
        (shapes / f"flat{at}.png").write_bytes(encoded(drawn("bar", seed=at)))
    found = read(Reading(data=str(shapes)))
    assert len(found.refused) == 30


def test_a_table_whose_pictures_lie_elsewhere_makes_no_classes_of_the_folders(tmp_path):
    class_folders(tmp_path / "images", number=2)
    (tmp_path / "train.csv").write_text("image,label\n0.png,cat\n1.png,dog\n")
    with pytest.raises(InputError, match="none of them lies in"):
        read(Reading(data=str(tmp_path)))
