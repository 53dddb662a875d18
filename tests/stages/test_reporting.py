import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fettle.core.errors import StoreError
from fettle.core.evaluation import LookAt
from fettle.core.pictures import Illustration
from fettle.stages.reporting import write

sys.path.append(str(Path(__file__).parents[1] / "pages"))
from nouns import MACHINE, SECRET, bare, hostile, story


def written(story, folder: Path):
    """The report of a story's nouns."""
    return write(
        story.dataset, story.audit, story.split, story.plan, story.run, story.evaluation,
        folder=folder,
    )


def test_a_report_is_a_page_and_a_card_in_the_run_folder(tmp_path: Path):
    report = written(bare(), tmp_path / "run")
    assert report.html == str(tmp_path / "run" / "report.html")
    assert report.card == str(tmp_path / "run" / "model-card.md")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "model-card.md", "report.html"]
    html = Path(report.html).read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert "python 3." in html
    assert Path(report.card).read_text(encoding="utf-8").startswith("---\n")


def test_the_same_nouns_give_the_same_files_and_no_path_of_this_machine(tmp_path: Path):
    first, again = written(bare(), tmp_path / "a"), written(bare(), tmp_path / "b")
    for one, other in ((first.html, again.html), (first.card, again.card)):
        content = Path(one).read_bytes()
        assert content == Path(other).read_bytes()
        for private in (SECRET, str(tmp_path), str(Path.home()) + "/"):
            assert private.encode() not in content


def test_costs_and_their_ratios_are_in_the_page(tmp_path: Path):
    made = story()
    report = write(
        made.dataset, made.audit, made.split, made.plan, made.run, made.evaluation,
        folder=tmp_path, machine=MACHINE,
    )
    html = Path(report.html).read_text(encoding="utf-8")
    for word in ("What it was predicted to cost, and what it cost", "0.88×", "133 GFLOP/s", "56%"):
        assert word in html, word


def test_hostile_names_reach_no_file_name(tmp_path: Path):
    made = hostile()
    written(replace(made, plan=replace(made.plan, name="../../escape")), tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_cannot_be_written_to_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises((StoreError, OSError)):
        written(bare(), tmp_path / "run")


def test_pictures_that_would_make_the_page_too_large_are_left_out_and_that_is_said(tmp_path):
    made = story()
    rows = tuple(LookAt(f"p/{row}.png", "wrong and sure", "a", "b", 0.9) for row in range(10))
    shown = {one.id: Illustration("data:image/png;base64," + "A" * 200_000, "") for one in rows}
    report = write(
        made.dataset, made.audit, made.split, made.plan, made.run,
        replace(made.evaluation, look_at=rows), folder=tmp_path, illustrations=shown,
    )
    html = Path(report.html).read_text(encoding="utf-8")
    assert len(html.encode()) <= 1_000_000
    assert html.count("base64,AAAA") == 2
    assert 'alt="the picture p/0.png"' in html
    assert "8 rows stand without a picture" in html
