import csv
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from fettle.core.audit import Severity
from fettle.core.dataset import Dataset, Refused, Schema
from fettle.core.errors import Blocked, InputError, ShapeError
from fettle.core.fixes import Action, Proposal
from fettle.core.labels import packed
from fettle.core.split import Split, Vault
from fettle.measures.label_noise import label_noise
from fettle.stages import auditing
from fettle.stages.auditing import afterwards, audit, held_out
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


def split_of(dataset, *, test):
    """The last so many rows judge, the sixth before them tunes."""
    learners = dataset.rows - test
    train = learners - learners // 6
    return Split(tuple(range(train)), tuple(range(train, learners)),
                 Vault(tuple(range(learners, dataset.rows)), ""), dataset.fingerprint(), "")


@pytest.fixture(scope="module")
def seen():
    """240 rows of two classes that features tell apart, eight labels wrong, two of them in test."""
    rng = np.random.default_rng(0)
    truth = np.arange(240) % 2
    features = (rng.normal(size=(240, 12)) + 4 * np.outer(truth, np.ones(12))).astype(np.float32)
    wrong = [5, 40, 77, 101, 150, 180, 215, 230]
    labels = truth.copy()
    labels[wrong] = 1 - labels[wrong]
    texts = [f"{row * 7919} {row * 104729} {row * 1299709}" for row in range(1, 241)]
    dataset = table_of({"text": texts, "label": [("no", "yes")[one] for one in labels]})
    return dataset, split_of(dataset, test=40), features, wrong


def test_the_features_of_a_run_show_its_wrong_labels_and_no_test_row_is_doubted(seen):
    dataset, split, features, wrong = seen
    first = audit(dataset)
    made = afterwards(dataset, first, split, features)
    (doubted,) = [one for one in made.afterwards if one.check == "label_errors"]
    learned = {dataset.ids[row] for row in wrong if row < 200}
    assert learned <= set(doubted.rows)
    assert not {dataset.ids[row] for row in split.vault.sealed} & set(doubted.rows)
    assert {one.row for one in made.proposals} >= {row for row in wrong if row < 200}
    assert made.findings == first.findings
    assert (made.left_out, made.twins) == (first.left_out, first.twins)


def test_what_the_features_show_is_the_same_each_time(seen):
    dataset, split, features, _ = seen
    first = audit(dataset)
    assert afterwards(dataset, first, split, features) == afterwards(
        dataset, first, split, features)


def test_where_a_row_may_have_several_labels_no_probe_is_asked_for_one(seen, monkeypatch):
    dataset, split, features, _ = seen
    table = dataset.table.set_column(
        1, "label", pa.array([packed([label]) for label in dataset.targets()], pa.string()))
    schema = replace(dataset.schema, task="multi-label", several="|")
    several = replace(dataset, table=table, schema=schema)
    monkeypatch.setattr(auditing, "held_out", None)  # would fail if it were asked
    features = features.copy()
    features[1] = features[0]
    made = afterwards(several, audit(several), split, features)
    assert "label_errors" not in [one.check for one in made.afterwards]
    (twins,) = [one for one in made.near_twins if several.ids[0] in one.ids]
    assert set(twins.labels) <= set(dataset.targets())  # as a person writes them


def test_numbers_that_the_features_do_not_explain_are_found_afterwards_and_none_of_a_test_row(seen):
    dataset, split, features, _ = seen
    numbers = features @ np.random.default_rng(1).normal(size=features.shape[1])
    odd = [5, 50, 239]
    numbers[odd] += 500 * numbers.std()
    rows = np.array(split.learners + split.vault.sealed)
    cells = np.empty(dataset.rows, dtype=object)
    cells[rows] = [repr(float(one)) for one in numbers]
    table = dataset.table.set_column(1, "label", pa.array(cells.tolist(), pa.string()))
    given = replace(dataset, table=table, schema=replace(dataset.schema, task="regression"))
    made = afterwards(given, audit(given), split, features)
    (found,) = [one for one in made.afterwards if one.check == "surprising"]
    assert set(found.rows[:2]) == {given.ids[rows[at]] for at in odd[:2]}
    assert given.ids[rows[239]] not in found.rows


def test_a_proposal_of_the_first_audit_stands(seen):
    dataset, split, features, wrong = seen
    first = audit(dataset)
    kept = replace(first, proposals=(Proposal(wrong[0], Action.DROP, "", "so", "duplicates"),))
    made = afterwards(dataset, kept, split, features)
    assert [one.check for one in made.proposals if one.row == wrong[0]] == ["duplicates"]


def test_features_must_be_of_the_rows_on_the_sides(seen):
    dataset, split, features, _ = seen
    with pytest.raises(ShapeError, match="239 rows of features for 240 rows"):
        afterwards(dataset, audit(dataset), split, features[1:])
