"""A version in production, from the shell: watched by file and by journal, with a page."""

import csv
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from fettle import cli_watch, pipeline, watching
from fettle.core.errors import SettingError
from fettle.core.evaluation import Forecast, LearningCurve
from fettle.core.journal import Answered, Label
from fettle.core.labelling import NewLabels
from fettle.core.progress import finish
from fettle.measures import sources
from fettle.stages import arriving, retraining, serving
from fettle.store import journal, portraits, records
from fettle.store.places import journal_folder
from stories import texts_and_labels, write_rows

ROWS = 450
POOL = texts_and_labels(ROWS + 700, seed=5)
np.random.default_rng(0).shuffle(POOL)
"""Rows of one kind: those that a version is made of, then those that arrive."""


@pytest.fixture(scope="session")
def released(tell, sentences, tmp_path_factory):
    """A version with enough test rows to be watched: 400 learning rows, 150 in a test file."""
    folder = tmp_path_factory.mktemp("released")
    test = write_rows(folder / "test.csv", POOL[300:ROWS])
    return tell(folder, write_rows(folder / "tickets.csv", POOL[:300]), model=sentences,
                test=str(test), rungs=("features",))


@pytest.fixture
def here(released, tmp_path):
    shutil.copytree(released.registry, tmp_path / ".fettle",
                    ignore=shutil.ignore_patterns("runs", "cache"))
    return str(tmp_path / ".fettle")


def same(folder, rows=600):
    return write_rows(folder / "same.csv", POOL[ROWS:ROWS + rows])


def other(folder, rows=600):
    """The same words in capitals, thrice as long, of one class alone."""
    found = [(f"{text} {text} {text} 99 !".upper(), label)
             for text, label in texts_and_labels(3 * rows, seed=6) if label == "top up"]
    return write_rows(folder / "other.csv", found[:rows])


def test_a_version_keeps_its_test_rows_in_numbers(released):
    folder = released.run_folder / "version"
    held = portraits.read(folder / "reference.arrow")
    assert held.rows == len(released.split.vault.sealed)
    assert held.embedding.shape == (held.rows, 32)
    opened = pipeline.open_version(str(folder))
    rows = released.dataset.fields(released.split.vault.sealed)
    answers, _ = pipeline.predict(str(folder), [text for text, in rows])
    said = [held.classes[at] for at in held.probabilities.argmax(axis=1)]
    assert said == [one.value for one in answers]
    assert held.probabilities.max(axis=1) == pytest.approx(
        [one.confidence for one in answers], abs=1e-5)
    assert held.labels == tuple(released.dataset.targets(released.split.vault.sealed))
    counts = portraits.read_counts(opened.paths["tokens.arrow"])
    items = opened.encoder.encode(released.dataset.fields(released.split.learners))
    assert counts.sum() == sum(map(len, items))


def test_the_reference_of_an_older_version_is_made_of_its_rows(released, tmp_path):
    opened = pipeline.open_version(str(released.run_folder / "version"))
    kept, none = watching.reference_of(opened)
    opened.paths.pop("reference.arrow")
    made, said = watching.reference_of(opened)
    assert none == ()
    assert "older fettle" in said[0]
    np.testing.assert_allclose(made.probabilities, kept.probabilities, atol=1e-5)
    assert made.labels == kept.labels
    opened.paths.pop("rows.arrow")
    with pytest.raises(SettingError, match="nothing to compare"):
        watching.reference_of(opened)


def test_rows_of_the_same_kind_do_not_drift_and_other_rows_do(fettle, here, tmp_path):
    done = fettle("watch", "tickets", same(tmp_path), "--registry", here, "--json",
                  "--fail-on", "warn")
    assert (done.code, done.json["severity"]) == (0, "")
    assert done.json["version"] == "tickets@1"
    page = tmp_path / "page.html"
    done = fettle("watch", "tickets", other(tmp_path), "--registry", here, "--json",
                  "--fail-on", "warn", "--html", page)
    assert done.code == 3
    assert {"length", "capitals", "predictions"} <= set(done.json["drifted"])
    assert "<script" not in page.read_text()
    assert page.stat().st_size < 200_000


def test_a_watch_is_told_in_words(fettle, here, tmp_path):
    done = fettle("watch", "tickets", other(tmp_path), "--registry", here)
    assert done.code == 0
    assert "has drifted" in done.out
    assert "What to do:" in done.out
    assert "blind" in done.out


def test_times_say_the_order_and_a_cell_that_says_none_is_named(fettle, here, tmp_path):
    rows = [(text, label, str(2000 + at // 4))
            for at, (text, label) in enumerate(POOL[ROWS:])]
    path = write_rows(tmp_path / "dated.csv", rows[::-1], header=("text", "label", "year"))
    done = fettle("watch", "tickets", path, "--registry", here, "--time", "year", "--json")
    begun = [one["begun"] for one in done.json["windows"]]
    assert begun == sorted(begun)
    assert begun[0] == "2000"
    write_rows(path, [*rows, ("my card", "top up", "soon")], header=("text", "label", "year"))
    done = fettle("watch", "tickets", path, "--registry", here, "--time", "year")
    assert (done.code, "'soon'" in done.err) == (2, True)


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "one of the two"), (("{data}", "--journal"), "one of the two"),
    (("{data}", "--window", "3"), "--window"), (("{data}", "--fail-on", "drift"), "--fail-on"),
    (("--journal",), "holds no answer"), (("{data}", "--time", "when"), "'when'"),
    (("--schedule", "{data}"), "takes no rows"), (("--schedule", "--evaluation", "5"), "divides"),
])
def test_what_cannot_be_watched_is_said(fettle, here, tmp_path, arguments, said):
    data = same(tmp_path, 60)
    given = [one.format(data=data) for one in arguments]
    done = fettle("watch", "tickets", *given, "--registry", here)
    assert (done.code, said in done.err) == (2, True), done.err


def served(here, texts, *, audit=0.5, keep=True):
    """These texts, as a server would have journalled them; the ids."""
    opened = pipeline.open_version("tickets", registry=here)
    before, _ = watching.reference_of(opened)
    made = serving.painter(opened, before.kinds)([(text,) for text in texts])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    batch = [
        Answered(id=f"{row:032x}", at=start + timedelta(hours=row), version="tickets@1",
                 value=made.classes[p.argmax()], probabilities=p, embedding=vector,
                 inputs={"text": text} if keep else None,
                 stream="audit" if row % 2 else "user")
        for row, (text, p, vector) in enumerate(
            zip(texts, made.probabilities, made.embedding, strict=True))
    ]
    folder = journal_folder(here, "tickets")
    journal.Journal(folder).write(batch)
    return folder, batch


def test_a_journal_is_watched_with_the_labels_that_came(fettle, here):
    rows = POOL[ROWS:]
    folder, batch = served(here, [text for text, _ in rows])
    now = datetime(2026, 3, 1, tzinfo=UTC)
    truth = [Label(one.id, label, now, one.stream)
             for one, (_, label) in zip(batch, rows, strict=True)]
    journal.add_labels(folder, [*truth[:300], *truth[:5], Label("f" * 32, "top up", now, "audit"),
                                Label(batch[1].id, "nonsense", now, "audit")])
    done = fettle("watch", "tickets", "--journal", "--registry", here, "--json")
    assert done.code == 0, done.err
    judged = {one["stream"]: one for one in done.json["judged"]}
    assert judged["audit"]["score"]["rows"] == 149  # one of 150 is contradicted
    assert judged["user"]["score"]["rows"] == 150
    assert done.json["severity"] == ""
    assert done.json["windows"][0]["begun"] == "2026-01-01T00:00:00+00:00"
    notes = " ".join(done.json["notes"])
    assert "1 predictions have labels that contradict" in notes
    assert "1 labels are of predictions" in notes
    assert {"length", "embedding"} <= {one["signal"] for one in done.json["states"]}


def test_a_journal_without_inputs_is_watched_by_vectors_and_answers(fettle, here, tmp_path):
    drifted = [text for text, label in texts_and_labels(1300, seed=6) if label == "lost card"]
    served(here, drifted[:420], keep=False)
    done = fettle("watch", "tickets", "--journal", "--registry", here, "--json")
    assert {"embedding", "predictions"} <= set(done.json["drifted"])
    assert "length" not in {one["signal"] for one in done.json["states"]}


def test_of_a_long_journal_the_newest_are_watched_and_older_ones_judged_by_their_labels(
    fettle, here, monkeypatch
):
    monkeypatch.setattr(watching, "MOST_WATCHED", 300)
    monkeypatch.setattr(arriving, "FEWEST", 240)
    rows = POOL[ROWS:ROWS + 500]
    folder, batch = served(here, [text for text, _ in rows])
    now = datetime(2026, 3, 1, tzinfo=UTC)
    audited = [one for one in batch[:200] if one.stream == "audit"]
    journal.add_labels(folder, [Label(one.id, one.value, now, "audit") for one in audited])
    drift = finish(watching.watch("tickets", journal=True, registry=here, window=60))
    assert drift.rows == 289, "twelve days, an answer an hour"
    assert (drift.windows[0].first, drift.windows[-1].last) == (batch[211].id, batch[-1].id)
    (judged,) = drift.judged
    assert (judged.stream, judged.score.rows, judged.score.value) == ("audit", len(audited), 1.0)
    few = finish(watching.watch("tickets", journal=True, registry=here, window=60, days=1))
    assert few.rows == 240, "so many at least"
    done = fettle("watch", "tickets", "--journal", "--days", "11", "--registry", here, "--json")
    assert done.json["rows"] == 265
    assert finish(watching.watch("tickets", journal=True, registry=here, window=60,
                                 days=float("inf"))).rows == 400, "all that is read"
    done = fettle("watch", "tickets", "x.csv", "--days", "3", "--registry", here)
    assert (done.code, "--days says how much of the --journal" in done.err) == (2, True)


def test_what_the_audit_stream_was_labelled_with_can_be_learned_from(fettle, here, tmp_path):
    texts = [f"{text} {at}" for at, (text, _) in enumerate(POOL[ROWS:ROWS + 40])]
    folder, batch = served(here, texts)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    first, second, third, *rest = [one for one in batch if one.stream == "audit"]
    journal.add_labels(folder, [
        Label(first.id, "top up", now, "audit", "ann"), Label(first.id, "top up", now, "audit",
                                                              "bob"),
        Label(second.id, "top up", now, "audit"), Label(second.id, "lost card", now, "audit"),
        *(Label(one.id, "lost card", now, "audit") for one in (third, *rest)),
        Label(batch[0].id, "lost card", now, "user"),
    ])
    out = tmp_path / "reviewed.csv"
    done = fettle("label", "read", "--journal", "tickets", "--registry", here, "--out", out)
    assert done.code == 0, done.err
    assert f"{len(rest) + 2} rows have a label, 1 are disputed" in done.out
    with out.open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    assert (lines[0]["text"], lines[0]["label"], lines[0]["person"]) == (
        first.inputs["text"], "top up", "ann; bob")
    assert len(lines) == len(rest) + 2
    assert {one["person"] for one in lines[1:]} == {""}, "nobody is named"
    assert watching.new_labels("tickets", out, registry=here).rows == len(lines)
    for arguments in ((), (out, "--journal", "tickets")):
        done = fettle("label", "read", *arguments, "--registry", here)
        assert (done.code, "one of the two" in done.err) == (2, True)


def test_a_label_flood_or_poisoned_labels_move_no_pointer(here):
    folder, batch = served(here, [text for text, _ in POOL[ROWS:]])
    now = datetime(2026, 3, 1, tzinfo=UTC)
    journal.add_labels(folder, [Label(one.id, "top up", now, "user") for one in batch])
    drift = finish(watching.watch("tickets", journal=True, registry=here))
    assert drift.severity == ""
    assert watching.decide(drift, registry=here).action == "keep"


def test_only_reviewed_rows_that_no_version_has_count_as_new_labels(here, released, tmp_path):
    arrived = same(tmp_path)
    texts = {" ".join(text.split()).casefold() for text, _ in POOL[ROWS:ROWS + 600]}
    known = {" ".join(text.split()).casefold() for text in released.dataset.column("text")}
    assert watching.new_labels("tickets", arrived, registry=here).rows == len(texts - known) > 200
    own = write_rows(tmp_path / "own.csv", POOL[:300])
    assert watching.new_labels("tickets", own, registry=here).rows == 0
    bare = write_rows(tmp_path / "bare.csv", [("lost card",)], header=("text",))
    assert watching.new_labels("tickets", bare, registry=here).rows == 0


def test_of_the_journal_only_labels_of_the_audit_stream_are_new(here):
    rows = POOL[ROWS:ROWS + 40]
    folder, batch = served(here, [text for text, _ in rows])
    now = datetime(2026, 3, 1, tzinfo=UTC)
    journal.add_labels(folder, [Label(one.id, "top up", now, one.stream) for one in batch])
    audited = {text for (text, _), one in zip(rows, batch, strict=True) if one.stream == "audit"}
    found = watching.new_labels("tickets", registry=here, journal=True)
    assert 0 < found.rows <= len(audited)
    assert not found.sentence, "nobody is named"


def test_of_the_journal_no_one_person_s_labels_are_all_that_counts(here, monkeypatch):
    monkeypatch.setattr(sources, "ALWAYS", 3)
    texts = [f"{text} {at}" for at, (text, _) in enumerate(POOL[ROWS:ROWS + 40])]
    folder, batch = served(here, texts)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    audited = [one for one in batch if one.stream == "audit"]
    journal.add_labels(folder, [
        Label(one.id, "top up", now, "audit", "ann" if at else "bob")
        for at, one in enumerate(audited)])
    found = watching.new_labels("tickets", registry=here, journal=True)
    assert (found.loudest, found.rows) == ("ann", 4)
    assert found.given == found.aside + 3 > 3


def test_a_column_says_who_labelled_the_rows_of_a_file(here, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ALWAYS", 3)
    people = ["ann; bob", "cy"] + ["ann"] * 18
    arrived = write_rows(tmp_path / "told.csv", [
        (f"{text} {at}", label, who)
        for at, ((text, label), who) in enumerate(zip(POOL[ROWS:], people, strict=False))],
        header=("text", "label", "person"))
    found = watching.new_labels("tickets", arrived, registry=here)
    assert (found.loudest, found.given, found.rows) == ("ann", 18, 5)


def test_enough_new_labels_and_a_curve_that_promises_more_ask_for_a_retraining(
    here, tmp_path, monkeypatch
):
    drift = finish(watching.watch("tickets", same(tmp_path), registry=here))
    monkeypatch.setattr(watching, "_promised_gain", lambda held, manifest, rows: 0.02)
    made = watching.decide(drift, registry=here, new_labels=NewLabels(300))
    assert (made.action, made.command) == ("keep", ""), "the version is of today"
    monkeypatch.setattr(retraining, "COOLDOWN_DAYS", -1.0)
    made = watching.decide(drift, registry=here, new_labels=NewLabels(300))
    assert made.action == "retrain"
    assert "300 reviewed rows wait" in " ".join(made.reasons)
    assert watching.decide(drift, registry=here, new_labels=NewLabels(20)).action == "keep"


def test_a_curve_promises_a_part_of_its_forecast_for_a_part_of_the_rows(released, tmp_path):
    curve = LearningCurve((), None, (Forecast(400, 0.03, 0.02, 0.04),), "")
    path = records.save(tmp_path / "evaluation.json", replace(released.evaluation, curve=curve))

    class Held:
        def paths(self, manifest):
            return {"evaluation.json": path}

    manifest = {"files": {"evaluation.json": "hash"}}
    assert watching._promised_gain(Held(), manifest, 200) == pytest.approx(0.01)
    assert watching._promised_gain(Held(), manifest, 800) == pytest.approx(0.02)
    assert watching._promised_gain(Held(), manifest, 0) is None
    assert watching._promised_gain(Held(), {"files": {}}, 200) is None


def test_a_schedule_is_printed_with_a_crontab_or_timers(fettle, here):
    done = fettle("watch", "tickets", "--schedule", "--registry", here, "--data-review", "6")
    assert done.code == 0
    assert "0 6 * * *" in done.out
    assert "fettle watch tickets --journal" in done.out
    lines = [line for line in done.out.splitlines() if line.startswith("0 6 ")]
    program = lines[0].partition(" && ")[2].split()[0]
    assert program == cli_watch._program()
    done = fettle("watch", "tickets", "--schedule", "--timer", "--registry", here)
    assert f"ExecStart=/usr/bin/env {program} watch tickets" in done.out
    plain = fettle("watch", "tickets", "--schedule", "--json", "--registry", here).json
    assert [(one["what"], one["every"]) for one in plain] == [
        ("watch", 0), ("evaluation", 1), ("data review", 3), ("retraining", 6)]


def test_without_its_rows_a_version_keeps_neither_vectors_nor_tokens(tell, tiny, tmp_path):
    data = write_rows(tmp_path / "few.csv", texts_and_labels(90, seed=1))
    made = tell(tmp_path, data, model=tiny, keep_rows=False, rungs=("features",))
    held = portraits.read(made.run_folder / "version" / "reference.arrow")
    assert held.embedding is None
    assert "vocabulary" not in held.traits
    assert not (made.run_folder / "version" / "tokens.arrow").exists()
    assert held.rows == len(made.split.vault.sealed)
    content = (made.run_folder / "version" / "reference.arrow").read_bytes()
    assert not any(text.encode() in content for text in made.dataset.column("text"))
    json.dumps(list(held.labels))
