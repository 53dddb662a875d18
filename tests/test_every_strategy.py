"""Every strategy from a file to a version that answers, as a person asks for it."""

import json

import pytest

from fettle.strategies import STRATEGIES
from stories import texts_and_labels, write_rows

pytestmark = pytest.mark.usefixtures("on_this_machine", "workplace")


def tuned(fettle, workplace, tiny, *more, rows=240):
    """What `fettle tune` printed, and the run's folder."""
    write_rows(workplace / "tickets.csv", texts_and_labels(rows, seed=21))
    done = fettle("tune", "tickets.csv", "--model", tiny, "--json", *more)
    assert done.code == 0, done.err
    return done.json, workplace / done.json["run"]


def test_what_was_asked_for_stands_in_the_plan_and_in_the_report(fettle, workplace, tiny):
    found, run = tuned(
        fettle, workplace, tiny, "--strategy", "full", "--keep-blocks", 1, "--schedule", "slanted",
        "--learning-rate", "find", "--loss", "adjusted", "--label-smoothing", 0.05, "--head", "mlp",
        "--stop-by", "loss", "--set", "epochs=2", "--set", "dropout=0", "--max-tokens", 5,
    )
    plan = json.loads((run / "plan.json").read_text())
    settings = plan["rungs"][0]["settings"]
    assert (plan["keep_blocks"], plan["max_tokens"]) == (1, 5)
    named = ("schedule", "rate_by", "loss", "head", "stop_by")
    assert {name: settings[name] for name in named} == {
        "schedule": "slanted", "rate_by": "find", "loss": "adjusted", "head": "mlp",
        "stop_by": "loss",
    }
    assert (settings["epochs"], settings["dropout"], settings["label_smoothing"]) == (2, 0.0, 0.05)
    assert "How the learning rate was found" in (run / "report.html").read_text(encoding="utf-8")
    config = json.loads((run / "version" / "config.json").read_text())
    assert config["num_hidden_layers"] == 1
    asked = fettle("predict", "tickets", "stolen card lost lost", "--json")
    assert asked.code == 0, asked.err
    assert json.loads(asked.out)["version"] == found["version"]
    less, all_of_it, more = (
        json.loads(fettle("predict", "tickets", text, "--json").out)
        for text in ("stolen card", "stolen card lost", "stolen card lost and the parcel")
    )
    assert less != all_of_it == more, "three words are all that five tokens hold"


def test_options_and_a_given_plan_contradict_each_other(fettle, workplace, tiny):
    write_rows(workplace / "tickets.csv", texts_and_labels(60))
    (workplace / "plan.yaml").write_text("")
    for option in (["--schedule", "linear"], ["--set", "dropout=0"], ["--keep-blocks", "1"],
                   ["--max-tokens", "9"]):
        done = fettle("tune", "tickets.csv", "--config", "plan.yaml", *option)
        assert done.code == 2
        assert "contradict" in done.err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--schedule", "cosin"], "Did you mean 'cosine'"),
        (["--set", "dropuot=0.1"], "Did you mean 'dropout'"),
        (["--keep-blocks", "9"], "1 to 2"),
        (["--max-tokens", "2"], "--max-tokens is 2"),
        (["--set", "poolings=mean,own"], "takes mean, cls and max"),
        (["--strategy", "lora", "--set", "kept=mean"], "none of these rungs has it"),
        (["--learning-rate", "fast"], "rate is 'fast'"),
        (["--strategy", "contrastiv"], "Did you mean 'contrastive'"),
        (["--strategy", "features", "--head", "mlp"], "none of these rungs has it"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_trained(fettle, workplace, tiny, option, words):
    write_rows(workplace / "tickets.csv", texts_and_labels(60))
    done = fettle("tune", "tickets.csv", "--model", tiny, *option)
    assert done.code == 2
    assert words in done.err
    assert not list(workplace.glob(".fettle/runs/*/checkpoints"))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [90, 240], ids=["folds", "held out"])
def test_every_strategy_becomes_a_version_that_answers(fettle, workplace, tiny, rows):
    names = [name for name in STRATEGIES if name != "features"]
    found, run = tuned(fettle, workplace, tiny, "--rungs", ",".join(["features", *names]),
                       "--set", "epochs=2", rows=rows)
    assert {rung["name"] for rung in found["rungs"]} == {"features", *names}
    for name in names:
        assert (run / "rungs" / name / "model.safetensors").is_file()
    assert fettle("predict", "tickets", "stolen card").code == 0
