"""Picture columns: paths in a table, bytes in Parquet."""

import zipfile

import pyarrow as pa
import pytest
from pyarrow import parquet

from fettle.core.errors import InputError
from fettle.core.plan import Reading
from fettle.stages.reading import read
from pictures import CLASSES, class_folders, drawn, encoded, own_cache

__all__ = ["own_cache"]


@pytest.fixture
def table(tmp_path):
    class_folders(tmp_path / "set" / "images", 5)
    lines = [f"images/{kind}/{at:03}.png,{kind},{at}" for kind in CLASSES for at in range(5)]
    path = tmp_path / "set" / "rows.csv"
    path.write_text("file,shape,size\n" + "\n".join(lines) + "\n")
    return path


def test_a_column_of_paths_is_read_as_pictures(table):
    found = read(Reading(data=str(table), target="shape"))
    assert (found.rows, found.schema.modality, found.schema.inputs) == (15, "image", ("file",))
    assert found.ids[0] == "images/bar/000.png"
    assert found.schema.unused == ("size",)
    assert "stands beside the pictures" in " ".join(found.schema.reasons)


def test_the_same_table_in_a_folder_or_zip_is_found(table, tmp_path):
    beside = read(Reading(data=str(table.parent), target="shape"))
    assert beside.ids[0] == "images/bar/000.png"
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(table.parent.rglob("*")):
            archive.write(file, file.relative_to(table.parent))
    assert read(Reading(data=str(path), target="shape")).fingerprint() == beside.fingerprint()


def test_a_path_in_a_zip_may_not_lead_out_of_it(table, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded(drawn("bar", seed=1000)))
    lines = table.read_text().splitlines()
    lines[1] = f"{secret},bar,1"
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((table.parent / "images").rglob("*")):
            archive.write(file, file.relative_to(table.parent))
        archive.writestr("rows.csv", "\n".join(lines))
    found = read(Reading(data=str(path), target="shape"))
    assert found.rows == 14
    assert str(secret) in found.refused[0].place


def test_a_row_whose_picture_is_missing_is_refused_by_name(table):
    (table.parent / "images" / "disc" / "002.png").unlink()
    found = read(Reading(data=str(table), target="shape"))
    assert [(one.place, one.reason) for one in found.refused] == [
        ("images/disc/002.png", "there is no such file")]


def test_a_column_of_file_names_beside_texts_stays_text(tmp_path):
    lines = [f"scan{at}.png,where is my card number {at},{'ab'[at % 2]}" for at in range(20)]
    (tmp_path / "t.csv").write_text("file,text,label\n" + "\n".join(lines) + "\n")
    assert read(Reading(data=str(tmp_path / "t.csv"))).schema.modality == "text"


def test_texts_can_be_read_of_a_table_that_has_pictures_too(table):
    lines = [f"{line},a text of several words {at}" for at, line in
             enumerate(table.read_text().splitlines()[1:])]
    table.write_text("file,shape,size,text\n" + "\n".join(lines) + "\n")
    told = Reading(data=str(table), target="shape", inputs=("text",))
    assert read(told).schema.modality == "text"


@pytest.mark.parametrize("as_datasets_writes", [False, True])
def test_bytes_in_parquet_are_pictures(tmp_path, as_datasets_writes):
    content = [encoded(drawn(kind, seed=at)) for kind in CLASSES for at in range(4)]
    labels = [number for number in range(3) for _ in range(4)]
    column = (
        [{"bytes": one, "path": f"{at}.png"} for at, one in enumerate(content)]
        if as_datasets_writes else content
    )
    made = pa.table({"image": column, "label": labels})
    if as_datasets_writes:
        known = b'{"info": {"features": {"label": {"names": ["bar", "disc", "ring"]}}}}'
        made = made.replace_schema_metadata({b"huggingface": known})
    parquet.write_table(made, tmp_path / "shapes.parquet")
    found = read(Reading(data=str(tmp_path / "shapes.parquet")))
    assert (found.schema.modality, found.schema.inputs) == ("image", ("image",))
    assert set(found.targets()) == (set(CLASSES) if as_datasets_writes else set("012"))
    name = "shapes.parquet:1"
    assert found.ids[0] == (f"{name} (0.png)" if as_datasets_writes else name)


def test_bytes_that_are_text_stay_text(tmp_path):
    texts = [f"BMW number {at} has a loud engine".encode() for at in range(12)]
    made = pa.table({"text": pa.array(texts, pa.binary()), "label": ["a", "b"] * 6})
    parquet.write_table(made, tmp_path / "t.parquet")
    assert read(Reading(data=str(tmp_path / "t.parquet"))).schema.modality == "text"


def test_two_columns_of_pictures_are_one_too_many(table):
    lines = [line + "," + line.split(",")[0] for line in table.read_text().splitlines()[1:]]
    table.write_text("file,shape,size,mask\n" + "\n".join(lines) + "\n")
    with pytest.raises(InputError, match="'file', 'mask'"):
        read(Reading(data=str(table), target="shape"))
    told = Reading(data=str(table), target="shape", inputs=("mask",))
    assert read(told).schema.inputs == ("mask",)


def test_cells_of_pictures_in_a_table_of_python_are_pictures_again(table):
    """As a version keeps its rows: what was read once is found by its hash."""
    first = read(Reading(data=str(table), target="shape"))
    again = read(Reading(target="shape"), source=first.table)
    assert (again.schema.modality, again.schema.inputs) == ("image", ("file",))
    assert again.fingerprint() == first.fingerprint()
    for path in (table.parent / "images" / "bar").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="5 of the 15 pictures"):
        read(Reading(target="shape"), source=first.table)
