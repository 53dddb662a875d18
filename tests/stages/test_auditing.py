import csv

import numpy as np
import pyarrow as pa
import pytest

from fettle.core.audit import Severity
from fettle.core.dataset import Dataset, Refused, Schema
from fettle.core.errors import Blocked, InputError, ShapeError
from fettle.measures.label_noise import label_noise
from fettle.stages.auditing import audit, held_out
from patience import calls


def table_of(columns, parts=None, *, target="label", refused=()):
    rows = len(next(iter(columns.values())))
    return Dataset(
        "t.csv",
        pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()}),
        Schema(target, tuple(name for name in columns if name != target)),
        tuple(f"t.csv:{row + 2}" for row in range(rows)),
        tuple(parts or [""] * rows),
        tuple(refused),
    )


def read(folder, files):
    """Rows of real files: (name, part) each."""
    texts, labels, ids, parts = [], [], [], []
    for name, part in files:
        with (folder / name).open(newline="", encoding="utf-8") as lines:
            for number, row in enumerate(csv.DictReader(lines), start=1):
                texts.append(row["text"])
                labels.append(row["label"])
                ids.append(f"{name}:{number}")
                parts.append(part)
    table = pa.table({"text": texts, "label": labels})
    return Dataset(folder.name, table, Schema("label", ("text",)), tuple(ids), tuple(parts))


def checks_of(found, severity):
    return [finding.check for finding in found.findings if finding.severity is severity]


def test_a_row_with_two_faults_is_left_out_once_and_by_the_first_check():
    texts = [f"text {row}" for row in range(40)]
    labels = ["refund", "other"] * 20
    dataset = table_of(
        {"text": [*texts, "text 0", "text 1"], "label": [*labels, "Refund", "refund"]},
        ["train"] * 41 + ["test"],
    )
    texts_seen_in_test = audit(dataset)

    assert [(out.check, out.rows) for out in texts_seen_in_test.left_out] == [
        ("variants", (40,)),
        ("leaks", (1,)),
    ]
    assert texts_seen_in_test.twins == ((0, 40), (1, 41))


def test_what_one_check_leaves_out_the_next_does_not_count():
    labels = ["refund"] * 20 + ["other"] * 20 + ["Refund"]

    found = audit(table_of({"text": [f"t {row}" for row in range(41)], "label": labels}))

    assert "small_classes" not in checks_of(found, Severity.BLOCKER)


def test_a_test_label_spelled_like_a_left_out_one_is_a_blocker():
    labels = ["refund"] * 20 + ["other"] * 20 + ["Refund"] * 2
    parts = [""] * 41 + ["test"]

    found = audit(table_of({"text": [f"t {row}" for row in range(42)], "label": labels}, parts))

    assert checks_of(found, Severity.BLOCKER) == ["unseen"]
    with pytest.raises(Blocked, match="--allow unseen"):
        found.require_clear()
    found.require_clear(("unseen",))


def test_refused_records_are_a_warning_with_their_places():
    refused = [Refused("t.csv:9", "3 cells where the header has 2"), Refused("t.csv:12", "x")]

    found = audit(table_of({"text": ["a", "b"], "label": ["x", "y"]}, refused=refused))

    ragged = found.findings[0]
    assert (ragged.check, ragged.severity, ragged.count) == ("ragged", Severity.WARN, 2)
    assert ragged.rows == ("t.csv:9", "t.csv:12")
    assert "t.csv:9: 3 cells" in ragged.sentence


def test_no_more_than_a_hundred_rows_are_named():
    found = audit(table_of({"text": ["same"] * 300, "label": ["a", "b"] * 150}))

    assert max(len(finding.rows) for finding in found.findings) == 100
    assert next(f.count for f in found.findings if f.check == "duplicates") == 299


def test_rows_without_answers_cannot_be_audited():
    with pytest.raises(InputError, match="--target"):
        audit(table_of({"text": ["a"]}, target=None))
    with pytest.raises(InputError, match="no rows"):
        audit(table_of({"text": [], "label": []}))


def test_the_audit_names_the_dataset_that_it_is_of():
    dataset = table_of({"text": ["a", "b"], "label": ["x", "y"]})

    assert audit(dataset).dataset == dataset.fingerprint()


def test_twice_the_rows_are_about_twice_the_work():
    """Texts of one pattern are the worst."""
    def work(rows):
        texts = [f"Customer {row % (rows - 99)} asks: where is my order number {row % (rows - 99)}?"
                 for row in range(rows)]  # fmt: skip
        labels = [f"class_{row % 77}" for row in range(rows)]
        parts = ["train"] * (rows * 4 // 5) + ["test"] * (rows // 5)
        dataset = table_of({"text": texts, "label": labels}, parts)
        return calls(lambda: audit(dataset))

    assert work(10_000) < 2.5 * work(5_000)


def clouds(rows, rng, *, width=16, apart=3.0):
    """Features of two classes in turns, and the classes."""
    labels = np.arange(rows) % 2
    features = rng.normal(size=(rows, width)).astype(np.float32)
    features[:, 0] += apart * (2 * labels - 1)
    return features, labels


def deep(labels, features, texts=None, parts=None):
    rows = range(len(labels))
    texts = texts or [f"{row * 7919} {row * 104_729} {row * 1_299_709}" for row in rows]
    given = ["ab"[label] for label in labels]
    return audit(table_of({"text": texts, "label": given}, parts), features=features)


def test_planted_label_errors_are_found_and_clean_labels_are_not_accused():
    rng = np.random.default_rng(0)
    features, labels = clouds(600, rng)
    planted = rng.choice(600, 30, replace=False)
    wrong = labels.copy()
    wrong[planted] = 1 - wrong[planted]

    (finding,) = [one for one in deep(wrong, features).findings if one.check == "label_errors"]
    assert len(set(finding.rows) & {f"t.csv:{row + 2}" for row in planted}) >= 28
    assert 25 <= finding.count <= 36
    assert "label_errors" not in {one.check for one in deep(labels, features).findings}


def test_no_test_row_is_judged_or_learned_from():
    rng = np.random.default_rng(1)
    features, labels = clouds(400, rng)
    parts = ["train"] * 300 + ["test"] * 100
    wrong = labels.copy()
    wrong[300:] = 1 - wrong[300:]  # every test row is labelled wrong

    found = deep(wrong, features, parts=parts)

    assert "label_errors" not in {one.check for one in found.findings}


def test_twins_are_held_out_together():
    rng = np.random.default_rng(2)
    features, _ = clouds(100, rng, width=80, apart=0.0)  # nothing to learn but the rows by heart
    features = np.repeat(features, 3, axis=0)
    labels = np.repeat(rng.integers(2, size=100), 3)
    groups = np.repeat(np.arange(100), 3)

    together, apart = (
        held_out(features, labels, kept, rng=np.random.default_rng(0))
        for kept in (groups, np.arange(300))
    )

    assert label_noise(together, labels).loss > 0.65  # a coin: 0.693
    assert label_noise(apart, labels).loss < 0.6


def test_a_class_with_too_few_rows_to_be_held_out_is_not_judged():
    rng = np.random.default_rng(3)
    features, labels = clouds(300, rng)
    names = np.where(labels == 1, "b", "a").astype(object)
    names[:4] = "rare"
    dataset = table_of({"text": [f"{row * 7919} {row * 104_729}" for row in range(300)],
                        "label": names.tolist()})

    found = audit(dataset, features=features)

    proposed = {one.row for one in found.proposals if one.check == "label_errors"}
    assert not proposed & set(range(4))


def test_features_must_stand_row_by_row():
    with pytest.raises(ShapeError, match="each row needs its own"):
        deep(np.array([0, 1] * 20), np.zeros((39, 4), np.float32))


def test_sms_spam_repeats_414_messages_to_the_letter(shared_data):
    found = audit(read(shared_data / "sms_spam", [("sms_spam.csv", "")]))

    duplicates = next(f for f in found.findings if f.check == "duplicates")
    assert "(414 to the letter)" in duplicates.sentence
    assert found.blockers() == ()


def test_two_test_sentences_of_sst2_also_stand_in_its_training_file(shared_data):
    files = [("train.csv", "train"), ("validation.csv", "validation"), ("test.csv", "test")]

    found = audit(read(shared_data / "sst2", files))

    leaks = [f.sentence for f in found.findings if f.check == "leaks"]
    assert leaks[0] == "3 training rows say the same as 2 test rows."
    assert sum(len(out.rows) for out in found.left_out) == 4
