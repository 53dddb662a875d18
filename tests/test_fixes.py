"""Fixes, from the audit that proposes them to the version that names them."""

import csv
import json

import pytest

from fettle.core.fixes import Fixes
from fettle.store import files
from stories import texts_and_labels, write_rows

ROWS = texts_and_labels(120)
FAULTY = [
    *ROWS, (ROWS[0][0].upper(), ROWS[0][1]),
    ("my top is up", ""), ("late pay is now", "late paymnt"),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "tickets.csv", FAULTY)
    return tmp_path


def lines_of(path):
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines))


def test_the_audit_proposes_and_changes_nothing(here, fettle):
    before = (here / "tickets.csv").read_bytes()

    done = fettle("audit", "tickets.csv", "--fix", "fixes.csv")

    assert done.code == 0, done.err
    assert (here / "tickets.csv").read_bytes() == before
    assert "proposals in fixes.csv" in done.err
    proposed = {line["row"]: line for line in lines_of(here / "fixes.csv")}
    assert proposed["tickets.csv:122"]["action"] == "drop"
    assert proposed["tickets.csv:123"]["why"] == "nothing stands in 'label'"
    assert (proposed["tickets.csv:124"]["action"], proposed["tickets.csv:124"]["new"]) == (
        "merge-label", "late payment"
    )
    assert proposed["tickets.csv:124"]["text"] == "late pay is now"


def test_edited_fixes_are_never_written_over(here, fettle):
    (here / "fixes.csv").write_text("my work")

    done = fettle("audit", "tickets.csv", "--fix", "fixes.csv")

    assert done.code == 2
    assert "may hold edited fixes" in done.err
    assert (here / "fixes.csv").read_text() == "my work"


def test_a_version_names_the_fixes_it_was_made_with(here, fettle, tiny):
    fettle("audit", "tickets.csv", "--fix", "fixes.csv")
    done = fettle("tune", "tickets.csv", "--fixes", "fixes.csv", "--model", tiny, "--rungs",
                  "features", "--json", "--out", "run")
    assert done.code == 0, done.err

    sha256 = files.sha256(here / "fixes.csv")
    plan = json.loads((here / "run" / "plan.json").read_text())
    counts = plan["reading"]["fixes"]["counts"]
    assert plan["reading"]["fixes"]["sha256"] == sha256
    assert counts["merge-label"] == 1
    assert sum(counts.values()) == len(lines_of(here / "fixes.csv"))
    lineage = json.loads((here / "run" / "version.json").read_text())["lineage"]
    assert lineage["fixes"] == sha256
    assert "1 merge-label" in lineage["fixed_rows"]
    page = (here / "run" / "report.html").read_text()
    assert "tickets.csv:123" in page
    assert "dropped by fixes.csv" in page

    again = fettle("tune", "--config", "run/plan.yaml", "--out", "run", "--json")
    assert again.json == done.json


def test_a_plan_with_fixes_that_have_changed_is_refused(here, fettle, tiny):
    fettle("audit", "tickets.csv", "--fix", "fixes.csv")
    made = fettle("plan", "tickets.csv", "--fixes", "fixes.csv", "--model", tiny, "--rungs",
                  "features")
    (here / "plan.yaml").write_text(made.out)
    with (here / "fixes.csv").open("a") as lines:
        lines.write("tickets.csv:2,drop,lost card,,,,\n")

    done = fettle("tune", "--config", "plan.yaml")

    assert done.code == 2
    assert "not the file that the plan was made with" in done.err
    assert not (here / ".fettle").exists()


def test_fixes_that_do_not_fit_leave_nothing_half_done(here, fettle, tiny):
    (here / "fixes.csv").write_text("row,action,old,new\ntickets.csv:2,drop,top up,\n")

    done = fettle("tune", "tickets.csv", "--fixes", "fixes.csv", "--model", tiny)

    assert done.code == 2
    assert "fixes.csv:2, column 'old'" in done.err
    assert not (here / ".fettle").exists()


def test_fixes_that_leave_nothing_to_teach_are_refused(here, fettle, tiny):
    lines = [f"tickets.csv:{row + 2},drop,{label},\n" for row, (_, label) in enumerate(FAULTY)]
    (here / "fixes.csv").write_text("row,action,old,new\n" + "".join(lines))

    done = fettle("tune", "tickets.csv", "--fixes", "fixes.csv", "--model", tiny)

    assert done.code == 2
    assert "empty in every row" in done.err


def test_a_row_moved_out_of_training_stands_on_no_side_and_is_listed(here, fettle, tell, tiny):
    (here / "fixes.csv").write_text(
        "row,action,old,new,why\ntickets.csv:2,move-out-of-training,lost card,,odd\n"
    )
    told = tell(here, here / "tickets.csv", model=tiny, rungs=("features",),
                fixes=Fixes("fixes.csv"))

    row = told.dataset.ids.index("tickets.csv:2")
    assert row not in {*told.split.train, *told.split.validation, *told.split.vault.sealed}
    assert ("fixes", (row,)) in [(out.check, out.rows) for out in told.split.left_out]
    assert fettle("audit", "tickets.csv", "--fixes", "fixes.csv").code == 0
