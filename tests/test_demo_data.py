"""The demo data: varied messages, and a key that lists every planted fault and nothing else.

Expected faults are worked out here from the csv files alone; the tool that planted them is run
only to see that it still writes the same bytes.
"""

import csv
import io
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "src" / "fettle" / "data"
TRAIN, TEST, KEY = "messages.csv", "messages_test.csv", "messages_faults.csv"
WRITTEN = (TRAIN, TEST, KEY, "README.md")

NAMES = (
    "agnieszka albert amadou annelie beatrice bernadette bronwen carla dana dave devika doreen "
    "doris dorothy edith edmund elena emmy ernest farid femi fenella frank gareth gaz gerald gus "
    "harold helen ingrid jojo jonas joost katarina kirsty luca ludwig malcolm marcus margaret "
    "marguerite marisol marta mary noor odile olena oliver osvaldo patricia pieter piotr priya "
    "rashid reto rosa rosalind shauna shaz sindre soraya stefan svenja tariq tobias tom tomasz "
    "ulrike vera walburga walter winifred yusuf zoe"
)
FIRST_NAMES = frozenset(NAMES.split())


@dataclass(frozen=True)
class Row:
    id: str
    text: str
    label: str


def rows_of(file: str) -> list[Row]:
    with (DATA / file).open(newline="", encoding="utf-8") as lines:
        records = csv.DictReader(lines)
        assert records.fieldnames == ["text", "label"]
        return [Row(f"{file}:{records.line_num}", r["text"], r["label"]) for r in records]


def key() -> list[dict[str, str]]:
    with (DATA / KEY).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def keyed(*kinds: str) -> dict[str, dict[str, str]]:
    """From a row's id to its record in the key, of these kinds or of all."""
    records = [record for record in key() if not kinds or record["kind"] in kinds]
    return {f"{record['file']}:{record['line']}": record for record in records}


def said(text: str) -> str:
    """What copies of a message share: case, spaces and the punctuation at the end are gone."""
    return " ".join(text.casefold().split()).rstrip(".!? ")


def skeleton(text: str) -> str:
    """The pattern of a message: names, numbers, ids and amounts are masked, case is folded."""
    plain = re.sub(r"[£€$]?[\w/.-]*\d[\w.,/:-]*[£€$%]?", "number", text)
    plain = re.sub(r"(?<=[a-z,;:] )[A-Z][\w'-]+", "name", plain)
    words = re.findall(r"\w+", plain.casefold())
    return " ".join("name" if word in FIRST_NAMES else word for word in words)


def same_texts(rows: Iterable[Row]) -> list[list[str]]:
    """Ids of rows that say the same, in the order in which they stand."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.text.strip():
            ids[said(row.text)].append(row.id)
    return [same for same in ids.values() if len(same) > 1]


def likeness(one: str, other: str) -> float:
    """The share of three-letter pieces that two texts have in common, from 0 to 1."""
    pieces = [{said(text)[i : i + 3] for i in range(len(said(text)) - 2)} for text in (one, other)]
    return len(pieces[0] & pieces[1]) / len(pieces[0] | pieces[1])


def messages() -> list[Row]:
    """Every row that was written as a message: no copies, and something to read."""
    copies = keyed("exact_duplicate", "near_duplicate", "leak")
    rows = rows_of(TRAIN) + rows_of(TEST)
    return [row for row in rows if row.text and row.id not in copies]


def classes() -> set[str]:
    return {row.label for row in rows_of(TEST)}


def test_there_are_enough_messages_in_enough_classes():
    train, test = rows_of(TRAIN), rows_of(TEST)
    assert len(messages()) >= 1200
    assert len(train) >= 1200
    assert len(test) >= 280
    assert len(train) + len(test) >= 1500
    assert len(classes()) >= 8
    assert min(Counter(row.label for row in test).values()) >= 25


def test_a_skeleton_forgets_names_numbers_and_amounts():
    assert skeleton("refund 12.50 for LW-4411, asks Marta") == skeleton(
        "Refund £9 for 77-1, asks tom"
    )
    assert skeleton("Where is my lamp?") != skeleton("Where is my heater?")


def test_no_more_than_three_messages_share_a_skeleton():
    times = Counter(skeleton(row.text) for row in messages())
    assert times.most_common(1)[0][1] <= 3


def test_few_messages_begin_with_the_same_three_words():
    opening = Counter(tuple(re.findall(r"[\w']+", row.text.casefold())[:3]) for row in messages())
    assert opening.most_common(1)[0][1] <= 6


def test_no_message_is_close_to_another_but_for_the_planted_copies():
    texts = [row.text for row in messages()]
    words = [set(re.findall(r"\w+", text.casefold())) for text in texts]
    close = [
        (texts[one], texts[other])
        for one in range(len(texts))
        for other in range(one)
        if len(words[one] & words[other]) > 0.4 * len(words[one] | words[other])
    ]
    assert close == []


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("wrong_label", 40), ("exact_duplicate", 25), ("near_duplicate", 25),
        ("label_variant", 15), ("empty_text", 8), ("empty_label", 6), ("leak", 10),
    ],
)  # fmt: skip
def test_the_key_lists_as_many_faults_of_a_kind_as_were_asked_for(kind: str, rows: int):
    assert len(keyed(kind)) == rows


def test_a_row_carries_one_fault_at_most_and_all_stand_in_the_training_rows():
    ids = [f"{record['file']}:{record['line']}" for record in key()]
    partners = [record["partner"] for record in key() if record["partner"]]
    assert len(ids + partners) == len(set(ids + partners))
    assert set(ids) <= {row.id for row in rows_of(TRAIN)}
    assert set(partners) <= {row.id for row in rows_of(TRAIN) + rows_of(TEST)}


def test_the_key_quotes_the_cells_as_they_stand():
    rows = {row.id: row for row in rows_of(TRAIN)}
    for id_, record in keyed().items():
        is_label = record["kind"] in ("wrong_label", "label_variant", "empty_label")
        cell = rows[id_].label if is_label else rows[id_].text
        assert record["row_text_or_value"] == cell


def test_exact_duplicates_are_those_that_the_key_lists_with_the_row_that_they_repeat():
    pairs = same_texts(rows_of(TRAIN))
    assert all(len(pair) == 2 for pair in pairs)
    found = {copy: source for source, copy in pairs}
    assert found == {id_: record["partner"] for id_, record in keyed("exact_duplicate").items()}


def test_some_exact_duplicates_are_so_to_the_letter_and_some_are_not():
    texts = {row.id: row.text for row in rows_of(TRAIN)}
    letters = [texts[i] == texts[r["partner"]] for i, r in keyed("exact_duplicate").items()]
    assert 5 <= sum(letters) <= 20


def test_copies_carry_the_label_of_the_row_that_they_repeat():
    labels = {row.id: row.label for row in rows_of(TRAIN) + rows_of(TEST)}
    for id_, record in keyed("exact_duplicate", "near_duplicate", "leak").items():
        assert labels[id_] == labels[record["partner"]]


def test_leaks_are_those_that_the_key_lists():
    train, test = rows_of(TRAIN), rows_of(TEST)
    tested = {said(row.text): row.id for row in test}
    found = {row.id: tested[said(row.text)] for row in train if said(row.text) in tested}
    assert found == {id_: record["partner"] for id_, record in keyed("leak").items()}


def test_near_duplicates_are_close_to_their_partner_and_not_the_same():
    texts = {row.id: row.text for row in rows_of(TRAIN)}
    for id_, record in keyed("near_duplicate").items():
        one, other = texts[id_], texts[record["partner"]]
        assert record["original"] == other
        assert said(one) != said(other)
        assert likeness(one, other) > 0.4


def test_empty_cells_are_those_that_the_key_lists():
    rows = rows_of(TRAIN)
    assert {row.id for row in rows if not row.text.strip()} == set(keyed("empty_text"))
    assert {row.id for row in rows if not row.label.strip()} == set(keyed("empty_label"))


def test_label_variants_are_those_that_the_key_lists():
    found = {row.id: row.label for row in rows_of(TRAIN) if row.label not in {*classes(), ""}}
    records = keyed("label_variant")
    assert found == {id_: record["row_text_or_value"] for id_, record in records.items()}
    assert 4 <= len(set(found.values())) <= 6
    assert {record["original"] for record in records.values()} <= classes()


def test_a_wrong_label_is_a_class_and_not_the_original():
    for record in keyed("wrong_label").values():
        assert {record["row_text_or_value"], record["original"]} <= classes()
        assert record["row_text_or_value"] != record["original"]


def test_every_other_label_is_the_one_that_the_message_was_written_for():
    written = {
        text: path.stem
        for path in (ROOT / "tools" / "messages").glob("*.txt")
        for text in path.read_text(encoding="utf-8").splitlines()
    }
    faulty = keyed()
    clean = [row for row in rows_of(TRAIN) if row.id not in faulty] + rows_of(TEST)
    assert all(written[row.text] == row.label for row in clean)


def test_the_test_rows_are_clean():
    rows = rows_of(TEST)
    assert same_texts(rows) == []
    assert all(row.text == row.text.strip() != "" for row in rows)


@pytest.mark.parametrize("file", [TRAIN, TEST, KEY])
def test_files_are_utf_8_and_quoted_as_rfc_4180_says(file: str):
    text = (DATA / file).read_bytes().decode("utf-8")
    records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(cells) for cells in records} == {len(records[0])}
    assert not any("\n" in cell or "\r" in cell for cells in records for cell in cells)
    assert text == "".join(quoted(cells) for cells in records)


def quoted(cells: Sequence[str]) -> str:
    """A record as RFC 4180 has it: quotes where they are needed, and doubled inside."""
    needed = re.compile(r'[",\r\n]')
    return (
        ",".join(
            '"' + cell.replace('"', '""') + '"' if needed.search(cell) else cell for cell in cells
        )
        + "\n"
    )


def test_the_readme_gives_the_data_away_and_counts_it_right():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert "CC0 1.0" in readme
    assert f"| {len(rows_of(TRAIN)):,} training rows" in readme
    assert f"| {len(rows_of(TEST)):,} test rows" in readme
    for kind, rows in Counter(record["kind"] for record in key()).items():
        assert f"| `{kind}` | {rows} |" in readme


def test_the_tool_builds_the_same_bytes_again(tmp_path: Path):
    tool = ROOT / "tools" / "demo_data.py"
    subprocess.run([sys.executable, str(tool), str(tmp_path)], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(WRITTEN)
    for name in WRITTEN:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()
