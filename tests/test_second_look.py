"""The audit of the features, which training computed anyway."""

import pytest

from fettle.core.audit import Audit
from fettle.store import records
from stories import NAMES, texts_and_labels, write_rows


@pytest.mark.usefixtures("on_this_machine")
def test_a_story_audits_the_features_of_its_rows_and_its_version_says_so(told):
    made = told.audit
    assert made.dataset == told.dataset.fingerprint()
    assert made == records.load(told.run_folder / "version" / "audit.json", Audit)
    features = encoding_of(told)
    assert features.shape == (len(told.split.learners) + told.evaluation.rows, 32)


def encoding_of(told):
    from fettle.stages import encoding

    return encoding.kept(told.run_folder)


@pytest.mark.usefixtures("on_this_machine")
def test_wrong_labels_are_found_by_tune_without_another_pass(
    tmp_path, tell, sentences, rows, monkeypatch
):
    from fettle.engine import replay
    from fettle.stages import evaluating

    wrong = [(text, NAMES[(NAMES.index(label) + 1) % 3] if at % 7 == 0 else label)
             for at, (text, label) in enumerate(rows)]
    passes, after = [], []
    real, judged = replay.taps_by_batch, evaluating.evaluate

    def counted(network, encoder, items, **more):
        passes.append(len(items))
        return real(network, encoder, items, **more)

    def evaluate(*given, **more):
        made = yield from judged(*given, **more)
        after.append(len(passes))
        return made

    monkeypatch.setattr(replay, "taps_by_batch", counted)
    monkeypatch.setattr(evaluating, "evaluate", evaluate)
    told = tell(tmp_path, write_rows(tmp_path / "wrong.csv", wrong), model=sentences,
                rungs=("features",))
    assert passes
    assert after == [len(passes)]  # nothing went through the network afterwards
    (doubted,) = [one for one in told.audit.afterwards if one.check == "label_errors"]
    planted = {told.dataset.ids[row] for row in range(0, len(rows), 7)}
    assert len(planted & set(doubted.rows)) >= 0.6 * len(doubted.rows)
    assert "label_errors" in (told.run_folder / "report.html").read_text()
    assert "label_errors" in (told.run_folder / "version" / "audit.json").read_text()
    assert not any(one.check == "label_errors" for one in told.audit.findings)


def test_where_the_features_were_not_kept_that_is_said(tmp_path, tell, tiny, monkeypatch):
    from fettle.stages import encoding

    monkeypatch.setattr(encoding, "remembered", lambda *_: None)
    told = tell(tmp_path, write_rows(tmp_path / "a.csv", texts_and_labels(60)), model=tiny,
                rungs=("features",))
    assert any("the features were not kept" in note for note in told.notes)
    assert told.audit.afterwards == ()
