"""The readers against files that something happened to: an error in words, or every record told.

Two thousand damaged files in all formats where time allows (marked slow), sixty otherwise. What
can be read is audited too: that must not end in a traceback either.
"""

import csv
import gzip
import io
import json
import re
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fettle.core.errors import FettleError
from fettle.core.plan import Reading
from fettle.stages.auditing import audit
from fettle.stages.reading import read

ROWS = [
    (f"mark{row:04d} {words}", f"label {row % 3}")
    for row, words in enumerate(
        ["plain words in a row", 'with "quotes", and commas', "two\nlines", "  blanks  ",
         "gr\u00fc\u00dfe \u6771\u4eac \U0001f600", "tab\tinside", "semi;colon"] * 20
    )
]
MARK = re.compile(r"mark\d{4}")
DAMAGE = [
    b'"', b",", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xff\xfe", b";",
    b"\t", b"", b'""', b"{", b"}", b"\\u0000", b"\\ud800", b"\x1f\x8b", b"PAR1", b"\xe2\x80\xae",
]


def separated(separator: str) -> bytes:
    out = io.StringIO(newline="")
    lines = csv.writer(out, delimiter=separator)
    lines.writerows([("text", "label"), *ROWS])
    return out.getvalue().encode()


def parquet() -> bytes:
    texts, labels = zip(*ROWS, strict=True)
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": list(texts), "label": list(labels)}), sink)
    return sink.getvalue()


WHOLE = {
    ".csv": separated(","),
    ".tsv": separated("\t"),
    ".jsonl": "".join(
        json.dumps({"text": text, "label": label}, ensure_ascii=row % 2 == 0) + "\n"
        for row, (text, label) in enumerate(ROWS)
    ).encode(),
    ".parquet": parquet(),
}
files = st.tuples(
    st.sampled_from(sorted(WHOLE)),
    st.sampled_from(["", "", "packed", "packed, then damaged"]),
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from([0, 0, 1, 2, 3, 17, 400]),
                  st.sampled_from(DAMAGE) | st.binary(max_size=4)),
        min_size=1, max_size=5,
    ),
    st.none() | st.floats(0, 1),
)


def damaged(raw: bytes, places: Sequence[tuple[float, int, bytes]], cut: float | None) -> bytes:
    for share, removed, added in places:
        at = int(share * len(raw))
        raw = raw[:at] + added + raw[at + removed :]
    return raw if cut is None else raw[: int(cut * len(raw))]


def made(ending: str, packing: str, places, cut) -> tuple[str, bytes, bytes]:
    """(name, the file's bytes, the bytes that a reader sees if it can unpack them)."""
    raw = WHOLE[ending]
    if not packing:
        raw = damaged(raw, places, cut)
        return f"rows{ending}", raw, raw
    if packing == "packed":
        raw = damaged(raw, places, cut)
        return f"rows{ending}.gz", gzip.compress(raw, 1), raw
    return f"rows{ending}.gz", damaged(gzip.compress(raw, 1), places, cut), raw


def marks_told(dataset, seen: bytes) -> set[str]:
    """Every mark in a cell, or on a line that begins a refused record or follows one."""
    cells = (cell or "" for name in dataset.table.column_names for cell in dataset.column(name))
    told = {mark for cell in cells for mark in MARK.findall(cell)}
    lines = re.split("\r\n|\r|\n", seen.decode("utf-8-sig"))
    starts = sorted(
        int(place.rpartition(":")[2])
        for place in (*dataset.ids, *(record.place for record in dataset.refused))
    )
    refused = {int(record.place.rpartition(":")[2]) for record in dataset.refused}
    for number, line in enumerate(lines, 1):
        begun = [start for start in starts if start <= number]
        if begun and begun[-1] in refused:
            told |= set(MARK.findall(line))
    return told


def look_at(folder, file) -> None:
    name, raw, seen = made(*file)
    path = folder / name
    path.write_bytes(raw)
    try:
        dataset = read(Reading(data=str(path), target="label"))
    except FettleError:
        return
    finally:
        path.unlink()
    places = [*dataset.ids, *(record.place for record in dataset.refused)]
    assert len(set(places)) == len(places)
    if file[0] == ".parquet":
        assert dataset.rows == pq.read_metadata(io.BytesIO(seen)).num_rows
    else:
        header, _, body = seen.decode("utf-8-sig").partition("\n")
        assert "mark" in header or set(MARK.findall(body)) <= marks_told(dataset, seen)
    with suppress(FettleError):
        audit(dataset)


few = settings(max_examples=60)
all_of_them = settings(few, max_examples=2000)


@few
@example((".jsonl", "packed, then damaged", [(0.87109375, 0, b"\x14")], None))
@example((".parquet", "", [(0.5, 2, b"\x00\x80")], None))
@given(files)
def test_damaged_files_end_in_words_or_in_every_record(tmp_path_factory, file):
    look_at(tmp_path_factory.getbasetemp(), file)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@all_of_them
@given(files)
def test_two_thousand_damaged_files_end_in_words_or_in_every_record(tmp_path_factory, file):
    look_at(tmp_path_factory.getbasetemp(), file)


@pytest.mark.parametrize("ending", sorted(WHOLE))
def test_the_files_are_read_whole_before_anything_happens_to_them(ending, tmp_path):
    path = tmp_path / f"rows{ending}"
    path.write_bytes(WHOLE[ending])
    dataset = read(Reading(data=str(path), target="label"))
    assert list(zip(dataset.column("text"), dataset.column("label"), strict=True)) == ROWS
