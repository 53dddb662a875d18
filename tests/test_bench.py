"""What the measurements in bench/ compute and keep, without measuring anything."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import encode_speed
import fettle_side
import few_shot
import forgetting
import imbalance
import jobs
import ladder
import measuring
import peers
import setfit_side
import sets
import stability
import train_speed
from fettle.core.progress import Note, Progress

ROOT = Path(__file__).resolve().parents[1]


def test_make_bench_runs_every_script_that_reports():
    scripts = {
        path.stem for path in (ROOT / "bench").glob("*.py")
        if any(said in path.read_text(encoding="utf-8")
               for said in (f'report("{path.stem}"', '"figures": '))
        and path.stem != "measuring"
    }
    listed = re.search(r"^MEASUREMENTS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed is not None
    assert set(listed[1].split()) == scripts


def test_without_data_a_measurement_says_so_and_reports_no_figures(monkeypatch, capsys):
    monkeypatch.delenv("FETTLE_DATA", raising=False)
    assert measuring.data_folder("ladder", "sst2") is None
    first, last = capsys.readouterr().out.splitlines()
    assert first == "FETTLE_DATA is not set: not run."
    assert json.loads(last) == {
        "bench": "ladder", "machine": measuring.machine(), "figures": {}
    }


def test_a_process_of_another_python_is_not_told_where_our_libraries_are(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    other = tmp_path / "python"
    other.write_text('#!/bin/sh\necho first\necho "[\\"${PYTHONPATH:-unset}\\"]"\n')
    other.chmod(0o755)
    ours = "import json, os; print(json.dumps([os.environ['PYTHONPATH']]))"
    assert measuring.last_json([other]) == ["unset"]
    assert measuring.last_json([sys.executable, "-c", ours]) == ["somewhere"]


def test_a_side_that_fails_ends_the_measurement_with_its_complaint():
    fails = "print('[]'); raise OSError('no such tokenizer')"
    with pytest.raises(SystemExit, match="no such tokenizer"):
        measuring.last_json([sys.executable, "-c", fails])


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux hands a peak on")
def test_a_process_does_not_count_the_memory_of_the_one_that_started_it():
    ballast = bytearray(400 * 2**20)
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'bench')!r}); import measuring; " \
           "print(measuring.peak_bytes())"
    assert measuring.last_json([sys.executable, "-c", code]) < 200 * 2**20
    assert measuring.peak_bytes() > len(ballast)


def test_a_job_reads_as_it_was_written(tmp_path):
    job = jobs.Encoding(model="folder", texts=["one", "two"], vectors="v.npy")
    assert jobs.load(jobs.save(tmp_path / "job.json", job), jobs.Encoding) == job


@pytest.mark.parametrize("name", peers.known())
def test_a_peers_list_holds_names_and_no_addresses(name):
    text = (peers.LISTS / f"{name}.txt").read_text(encoding="utf-8")
    assert peers.requirements(text)


@pytest.mark.parametrize("line", ["--index-url x", "-e .", "name @ file:///x", "git+ssh://x/y"])
def test_an_option_or_address_is_no_plain_requirement(line):
    with pytest.raises(ValueError, match="no plain requirement"):
        peers.requirements(f"torch\n{line}\n")


def test_a_peer_takes_the_versions_that_fettle_has():
    versions = {"torch": "2.15.0+cpu"}
    lines = peers.pinned(["torch", "accelerate>=1"], versions.get).splitlines()
    assert lines[1:] == ["torch", "torch==2.15.0", "accelerate>=1"]


class Installs:
    """Makes an empty environment, and counts how often."""

    def __init__(self, failure=""):
        self.failure, self.times = failure, 0

    def __call__(self, folder, wanted):
        self.times += 1
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").touch()
        return self.failure


def test_an_environment_is_used_again_until_its_list_changes(tmp_path):
    install = Installs()
    (tmp_path / "one.txt").write_text("accelerate>=1  # a comment\n")

    def made():
        return peers.environment_of("one", lists=tmp_path, environments=tmp_path / "made",
                                    install=install)

    assert made().python == made().python == tmp_path / "made" / "one" / "bin" / "python"
    assert install.times == 1
    (tmp_path / "one.txt").write_text("accelerate>=2\n")
    assert made().python is not None
    assert install.times == 2


def test_an_environment_that_could_not_be_made_is_tried_again(tmp_path):
    (tmp_path / "one.txt").write_text("accelerate\n")
    failing, working = Installs("no network"), Installs()
    peer = peers.environment_of("one", lists=tmp_path, environments=tmp_path, install=failing)
    assert (peer.python, peer.reason) == (None, "no network")
    again = peers.environment_of("one", lists=tmp_path, environments=tmp_path, install=working)
    assert again.python is not None


def side(rows_per_second, tokens_per_second=1.0, peak_bytes=1, **more):
    return {"rows_per_second": rows_per_second, "tokens_per_second": tokens_per_second,
            "peak_bytes": peak_bytes, **more}


def test_speedups_are_ratios_of_medians_and_the_share_is_of_the_measured_peak():
    peak = {"useful_flops": 60.0, "seconds": 2.0, "peak_flops": 40.0}
    figures = train_speed.compared({
        "fettle": [side(one, 12.0, 3, **peak) for one in (90.0, 100.0, 500.0)],
        "default": [side(one, 4.0, 4) for one in (10.0, 20.0, 25.0)],
    })
    assert figures["speedup_trainer_default"] == 100 / 20
    assert figures["token_speedup_trainer_default"] == 12 / 4
    assert figures["share_of_peak"] == 60 / 2 / 40
    assert figures["memory_ratio"] == 3 / 4
    assert "speedup_trainer_tuned" not in figures


def test_the_figure_of_two_sets_is_the_worse_one():
    found = train_speed.worst({
        "sst2": {"speedup_trainer_default": 4.0, "memory_ratio": 0.7, "accuracy_difference": -0.01},
        "banking77": {"speedup_trainer_default": 5.0, "memory_ratio": 0.9, "fettle_accuracy": 0.9},
    })
    assert found == {
        "speedup_trainer_default": 4.0, "memory_ratio": 0.9, "accuracy_difference": -0.01
    }


def test_the_lowest_cosine_is_of_rows_and_feels_no_length():
    first = np.array([[1.0, 0.0], [3.0, 4.0]])
    second = np.array([[2.0, 0.0], [5.0, 0.0]])
    assert encode_speed.lowest_cosine(first, second) == pytest.approx(0.6)


def test_a_prediction_of_half_is_farther_off_than_one_of_one_and_a_half():
    assert ladder.farthest([1.5, 0.5, 1.9]) == 0.5


def test_rungs_stand_beside_the_plain_full_fine_tuning():
    rows = ladder.against({"features": {"seconds": 5.0, "test": 0.75}}, seconds=50.0, test=0.5)
    assert rows["features"]["share_of_plain_full_seconds"] == 0.1
    assert rows["features"]["test_minus_plain_full"] == 0.25


def tuned_in(epochs, *, seconds, test):
    """What a run of one rung, `top` or `full`, leaves behind."""
    def made(name):
        rung = {"name": name, "seconds": seconds, "validation": {"value": 0.5},
                "history": [{"seconds": one} for one in epochs]}
        scores = [{"name": "accuracy", "value": test}]
        return sets.Tuned(
            {"seconds": seconds}, {"rungs": [rung]},
            {"predicted": [{"rung": name, "seconds": 3.0}]},
            {"contenders": [{"name": name, "scores": scores}]}, seconds,
        )

    return made


def test_replay_is_compared_with_runs_that_replay_nothing(monkeypatch, tmp_path):
    plain_top = tuned_in([6.0, 5.0, 8.0], seconds=20.0, test=0.7)("top")
    runs = {
        ("--rungs", "top"): tuned_in([9.0, 1.0, 2.0], seconds=12.0, test=0.75)("top"),
        ("--rungs", "top", *ladder.PLAIN): plain_top,
        ("--rungs", "full", *ladder.PLAIN): tuned_in([20.0], seconds=48.0, test=0.5)("full"),
    }
    told = ("--inputs", "text")
    monkeypatch.setattr(
        ladder, "tuned_on", lambda train, test, out, more: runs[more[len(told):]]
    )
    monkeypatch.setattr(ladder, "prefix_twice", lambda files, rungs: {})
    files = ladder.Files(tmp_path / "train.csv", None)
    found = ladder.climb(files, ["top"], plain=True)
    assert found["run"]["top_epoch_speedup"] == 6.0 / 2.0
    assert found["top"]["share_of_plain_full_seconds"] == 12 / 48
    assert found["top"]["test_minus_plain_full"] == 0.25
    assert found["top"]["predicted_over_measured"] == 3 / 12


def test_a_ladder_of_fewer_rows_is_climbed_on_files_of_its_own(tmp_path):
    (tmp_path / "sms_spam").mkdir()
    rows = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(50)]
    sets.written(tmp_path / "sms_spam/sms_spam.csv", rows)
    files = ladder.files_of(tmp_path, "sms_spam", 12, tmp_path)
    assert len(sets.rows_of(files.train)) == 12
    assert len(sets.rows_of(files.test)) == 10  # every fifth of all
    whole = ladder.files_of(tmp_path, "sms_spam", None, tmp_path)
    assert (whole.train, whole.test) == (tmp_path / "sms_spam/sms_spam.csv", None)


def test_a_ladders_repeats_are_brought_together_figure_by_figure():
    repeats = [{"top": {"seconds": one, "test": 0.5}} for one in (3.0, 1.0, 2.0)]
    assert ladder.medians(repeats) == {"top": {"seconds": 2.0, "test": 0.5}}


def test_the_clock_of_the_prefix_stops_at_the_first_event_after_it():
    heads = Progress("heads", 1, 1)
    story = iter([Note("read"), Progress("features", 1, 2), Progress("features", 2, 2), heads,
                  Progress("features", 1, 1)])
    assert fettle_side.seconds_of(story, fettle_side.is_prefix) >= 0
    assert len(list(story)) == 1
    with pytest.raises(AssertionError, match="another name"):
        fettle_side.seconds_of(iter([heads]), fettle_side.is_prefix)


def test_tables_that_are_looked_up_are_no_matrix_products():
    module = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Linear(4, 2))
    assert fettle_side.in_tables(module) == 40


def test_rare_rows_are_cut_to_their_share():
    rows = [{"label": "spam" if n % 5 == 0 else "ham", "text": str(n)} for n in range(1000)]
    found = imbalance.cut(rows, "spam", 0.01)
    rare = [row for row in found if row["label"] == "spam"]
    assert len(rare) == 8  # 800 others
    assert len(rare) / len(found) == pytest.approx(0.01, abs=0.001)
    assert rare == [row for row in rows if row["label"] == "spam"][:8]


def test_setfit_s_pairs_are_those_that_its_sampler_is_known_to_draw():
    assert setfit_side.pairs_of((0,) * 8 + (1,) * 8) == 144  # 288 encodes
    assert setfit_side.pairs_of(tuple(n % 6 for n in range(96))) == 15_360 // 2


def test_a_seed_draws_so_many_rows_of_each_class():
    rows = [{"label": "ab"[n % 2], "text": str(n)} for n in range(40)]
    found = sets.few_of(rows, 8, seed=3)
    assert sorted(row["label"] for row in found) == ["a"] * 8 + ["b"] * 8
    assert found == sets.few_of(rows, 8, seed=3)
    assert found != sets.few_of(rows, 8, seed=4)


def test_of_two_sets_the_one_where_fettle_does_worst_is_told():
    found = few_shot.overall({
        "sst2:8": {"speedup": 3.0, "behind": 0.2}, "banking77:8": {"speedup": 9.0, "behind": -1.0},
        "sst2:64": {"accuracy": 0.9},
    })
    assert found == {"speedup_8": 3.0, "behind_8": 0.2}


def test_spread_by_hand():
    found = stability.spread([0.8, 0.9, 1.0])
    assert found == pytest.approx({"worst": 0.8, "mean": 0.9, "best": 1.0, "deviation": 0.0816497})


def test_the_frontier_is_a_picture_with_every_name(tmp_path):
    figures = {f"{name}_{key}": value for name, values in {
        "full": (0.05, -0.03, -0.05, -0.01, -0.02), "wise": (0.04, -0.01, -0.02, 0.0, 0.0),
    }.items() for key, value in zip(
        ("gain", "probe_change", "probe_low", "probe_high", "stsb_change"), values, strict=True)}
    forgetting.draw(figures, ("full", "wise"), tmp_path / "frontier.svg")
    drawn = (tmp_path / "frontier.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<?xml")
    assert "<!-- full -->" in drawn
    assert "<!-- wise -->" in drawn
