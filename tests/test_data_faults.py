"""Faults of data, from the file to what a person is told: fault tests 11 to 16.

What single readers and checks do has tests of its own; here the command is given the whole file.
"""

import csv
import json
import os
import re
import subprocess
import sys

import pytest

from stories import texts_and_labels, write_rows

ROWS = texts_and_labels(120)


def audited(fettle, path, *arguments):
    """The findings by check, as --json prints them."""
    done = fettle("audit", path, "--json", *arguments)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    found = {}
    for one in done.json["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


def refused(done, *words):
    assert done.code == 2, (done.out, done.err)
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err, done.err


# 11: labels.


SPELLINGS = ["late payment ", "late paymnt", "LATE PAYMENT", "\uff4cate payment", "late-payment",
             "late\u00a0payment", "Late Payment."]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_of_a_label_is_listed_with_the_merge_and_no_class_of_its_own(
    spelling, tmp_path, fettle
):
    data = write_rows(tmp_path / "t.csv", [*ROWS, ("pay late is now", spelling)])
    found = audited(fettle, data, "--fix", tmp_path / "fixes.csv")

    (variants,) = found["variants"]
    assert variants["rows"] == ["t.csv:122"]
    assert "left out of fitting" in variants["remedy"]
    assert "3 classes" in found["balance"][0]["sentence"]
    with (tmp_path / "fixes.csv").open(newline="", encoding="utf-8-sig") as lines:
        merges = [line for line in csv.DictReader(lines) if line["action"] == "merge-label"]
    assert [(one["row"], one["old"], one["new"]) for one in merges] == [
        ("t.csv:122", spelling, "late payment")
    ]


def test_a_class_of_one_row_and_one_that_only_the_test_knows_are_blockers(tmp_path, fettle):
    data = write_rows(tmp_path / "t.csv", [*ROWS, ("all alone here", "hermit")])
    tests = write_rows(tmp_path / "test.csv", [("never heard of this", "stranger")])
    found = audited(fettle, data, "--test", tests)

    assert found["small_classes"][0]["severity"] == "blocker"
    assert found["unseen"][0]["severity"] == "blocker"
    assert found["unseen"][0]["rows"] == ["test.csv:2"]
    assert fettle("audit", data, "--test", tests, "--fail-on", "blocker").code == 3


# 12: sizes, and characters that hurt.


def test_a_cell_of_ten_megabytes_is_read_cut_for_the_model_and_never_shown_whole(
    tmp_path, fettle, tell, tiny
):
    long = "card lost " * 1_000_000
    data = write_rows(tmp_path / "t.csv", [*ROWS, (long, "lost card")])

    (lengths, *_) = audited(fettle, data)["lengths"]
    assert "About 1 row of 121" in lengths["sentence"]
    assert "2,500,00" in lengths["sentence"]
    told = tell(tmp_path, data, model=tiny, rungs=("features",))
    page = (told.run_folder / "report.html").read_text()
    assert len(page) < 1_000_000
    assert "card lost " * 50 not in page


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_million_rows_are_read_in_bounded_memory(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("w", encoding="utf-8") as lines:
        lines.write("text,label\n")
        for row in range(1_000_000):
            lines.write(f"the text of row {row} with some words more,label {row % 7}\n")
    code = (
        "from pathlib import Path\n"
        "from fettle.core.plan import Reading\n"
        "from fettle.stages.reading import read\n"
        f"dataset = read(Reading(data={str(path)!r}))\n"
        "status = Path('/proc/self/status').read_text().split()\n"
        "print(dataset.rows, status[status.index('VmHWM:') + 1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    rows, peak = map(int, done.stdout.split())
    assert rows == 1_000_000
    assert peak * 1024 < 1_500_000_000  # the file has 57 MB


def test_five_thousand_columns_are_read_and_audited(tmp_path, fettle):
    names = ["text", "label", *(f"c{number}" for number in range(4998))]
    rows = [[text, label, *("x" * 4998)] for text, label in ROWS]
    data = write_rows(tmp_path / "t.csv", rows, header=names)

    assert "balance" in audited(fettle, data, "--inputs", "text", "--target", "label")


def test_json_that_is_nested_a_thousandfold_is_one_refused_line(tmp_path, fettle):
    lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    deep = '{"text": ' + "[" * 100_000 + "]" * 100_000 + ', "label": "top up"}'
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join([*lines, deep]) + "\n")

    (ragged,) = audited(fettle, path)["ragged"]
    assert ragged["rows"] == ["t.jsonl:121"]


def test_a_nul_is_refused_with_its_line(tmp_path, fettle):
    path = tmp_path / "t.csv"
    path.write_bytes(b"text,label\n" + b"one,a\ntwo,b\n" * 10 + b"th\0ree,a\n")
    refused(fettle("audit", path), "t.csv, line 22", "NUL")


HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "]]></style><script>", "{{7*7}}",
    "=cmd|'/c calc'!A1", "bell\x07", "\u202egnp.exe", "\u0627\u0644\u0633\u0644\u0627\u0645",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
]


def test_hostile_and_strange_texts_are_told_escaped_and_without_harm(tmp_path, fettle, tell, tiny):
    rows = [*ROWS, *((f"{text} {text}", "top up") for text in HOSTILE),
            *((f"{text} {text}", "late payment") for text in HOSTILE)]
    data = write_rows(tmp_path / "t.csv", rows)

    found = audited(fettle, data, "--fix", tmp_path / "fixes.csv")
    assert found["conflicts"][0]["count"] == 2 * len(HOSTILE)
    assert {one["count"] for one in found["characters"]} == {2}
    told = tell(tmp_path, data, model=tiny, rungs=("features",))
    page = (told.run_folder / "report.html").read_text()
    assert "<script" not in page
    assert "onerror=alert(1)>" not in page
    assert ">49<" not in page  # {{7*7}} was not worked out
    with (tmp_path / "fixes.csv").open(newline="", encoding="utf-8-sig") as lines:
        cells = [cell for line in csv.reader(lines) for cell in line]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


# 13: encodings.


def lines_of(rows):
    return "".join(f"{text},{label}\n" for text, label in [("text", "label"), *rows])


CAFE = [(f"caf\u00e9 {text}", label) for text, label in ROWS]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_that_says_its_encoding_is_read_by_it(codec, tmp_path, fettle):
    path = tmp_path / "t.csv"
    path.write_bytes(lines_of(CAFE).encode(codec))
    assert "characters" not in audited(fettle, path)


@pytest.mark.parametrize("codec", ["latin-1", "cp1252"])
def test_another_encoding_is_an_error_with_line_byte_and_what_to_try(codec, tmp_path, fettle):
    path = tmp_path / "t.csv"
    path.write_bytes(lines_of(CAFE).encode(codec))
    refused(fettle("audit", path), "line 2", "0xe9", "--encoding cp1252", "caf\u00e9")
    assert "characters" not in audited(fettle, path, "--encoding", codec)


def test_two_encodings_in_one_file_are_called_that(tmp_path, fettle):
    path = tmp_path / "t.csv"
    path.write_bytes(lines_of(CAFE).encode() + "caf\u00e9,top up\n".encode("latin-1"))
    refused(fettle("audit", path), "line 122", "mixes encodings")


def test_utf_8_that_was_told_to_be_latin_1_is_not_read_in_silence(tmp_path, fettle):
    path = tmp_path / "t.csv"
    path.write_bytes(lines_of(CAFE).encode())
    (garbled,) = audited(fettle, path, "--encoding", "latin-1")["characters"]
    assert (garbled["severity"], garbled["count"]) == ("warn", 120)


# 14: records and headers.


@pytest.mark.parametrize("at", [0, 60, 120])
@pytest.mark.parametrize("ragged", ["one,two,three\n", "one\n"])
def test_a_ragged_record_is_listed_with_its_line_and_shifts_nothing(at, ragged, tmp_path, fettle):
    lines = lines_of(ROWS).splitlines(keepends=True)
    path = tmp_path / "t.csv"
    path.write_text("".join([*lines[: at + 1], ragged, *lines[at + 1 :]]))
    found = audited(fettle, path)

    assert found["ragged"][0]["rows"] == [f"t.csv:{at + 2}"]
    assert "3 classes" in found["balance"][0]["sentence"]


HEADERS = {
    "two of one name": ("text,label,text\n" + "a,b,c\n" * 20, ["Columns 1 and 3", "'text'"]),
    "one without a name": ("text,,label\n" + "a,b,c\n" * 20, ["Column 2", "no name"]),
    "a quote left open": (lines_of(ROWS) + '"never closed,top up\nmore,top up\n', ["line 122"]),
    "too many ragged": (lines_of(ROWS) + "a,b,c\n" * 5, ["5 of the 125", "t.csv:122"]),
}


@pytest.mark.parametrize("case", HEADERS)
def test_what_cannot_be_read_safely_is_an_error_with_its_place(case, tmp_path, fettle):
    content, words = HEADERS[case]
    path = tmp_path / "t.csv"
    path.write_text(content)
    refused(fettle("audit", path), *words)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_other_separators_and_line_ends_are_read(separator, end, tmp_path, fettle):
    path = tmp_path / "t.csv"
    text = lines_of(ROWS).replace(",", separator).replace("\n", end)
    path.write_bytes(text.encode())
    assert "ragged" not in audited(fettle, path)


# 15: cells that other readers damage.


def test_labels_stay_as_they_are_written(tmp_path, fettle):
    labels = ["NA", "None", "null", "nan", "007", "7", "True", "1e3", "1" * 25]
    rows = [(f"some text {row} of {row * 7919}", labels[row % len(labels)]) for row in range(180)]
    found = audited(fettle, write_rows(tmp_path / "t.csv", rows))

    assert "missing" not in found
    assert "variants" not in found
    assert found["balance"][0]["sentence"].startswith("9 classes")


# 16: too little to say anything.


NOTHING = {
    "no row": ([], ["no rows"]),
    "one class": ([(text, "same") for text, _ in ROWS], ["'same' in every row"]),
    "fewer rows than folds": (ROWS[:3], ["3 rows"]),
    "a column of nothing": ([("", label) for _, label in ROWS], ["empty in every row"]),
    "answers of nothing": ([(text, "") for text, _ in ROWS], ["empty in every row"]),
}


@pytest.mark.parametrize("case", NOTHING)
def test_what_cannot_teach_is_refused_in_words(case, tmp_path, fettle):
    rows, words = NOTHING[case]
    refused(fettle("audit", write_rows(tmp_path / "t.csv", rows)), *words)


def test_rows_that_all_say_the_same_are_told_and_end_in_words(tmp_path, fettle, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_rows(tmp_path / "t.csv", [("always the same", label) for _, label in ROWS])
    found = audited(fettle, data, "--inputs", "text")

    assert found["duplicates"][0]["count"] == 119
    assert found["conflicts"][0]["count"] == 120
    done = fettle("tune", data, "--inputs", "text", "--model", tiny, "--rungs", "features")
    assert done.code in (0, 2), done.err
    assert "Traceback" not in done.err


def test_no_number_in_a_report_of_few_rows_is_nan(tmp_path, tell, tiny):
    rows = [(text, label, "constant", "") for text, label in texts_and_labels(24)]
    data = write_rows(tmp_path / "t.csv", rows, header=("text", "label", "same", "nothing"))

    told = tell(tmp_path, data, model=tiny, rungs=("features",))

    page = (told.run_folder / "report.html").read_text()
    assert not re.search(r"\b(nan|NaN|inf)\b", re.sub(r"<[^>]*>", " ", page))
    for path in told.run_folder.glob("*.json"):
        assert "NaN" not in path.read_text(), path.name
