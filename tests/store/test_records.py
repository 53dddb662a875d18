import json
import math

import pytest

from fettle.core.audit import Audit, Finding, LeftOut, Severity
from fettle.core.errors import CorruptFile, SettingError
from fettle.core.evaluation import ClassScores, Contender, Evaluation, Latency
from fettle.core.parts import Card
from fettle.core.plan import (
    Attention,
    Cost,
    Machine,
    Plan,
    Products,
    Reading,
    Rung,
    Threads,
)
from fettle.core.run import Epoch, Run, RungResult
from fettle.core.score import Comparison, Score
from fettle.core.split import Split, Vault
from fettle.core.version import Report, Version
from fettle.store import records

SCORE = Score("accuracy", 0.1 + 0.2, 0.1, 1 / 3, 10)
LEFT = LeftOut("twins", "it says the same", (3, 5))
PLAN = Plan(
    task="classification",
    modality="text",
    model="größe/model",
    weights="ab",
    learning="cd",
    classes=("1", "no", "null", "größe: \u2028\n'"),
    metric="accuracy",
    rungs=(
        Rung("features", {"l2": "1e-1,1e-2"}),
        Rung("full", {"rate": 1e-4, "epochs": 6, "bitfit": True}),
    ),
    max_tokens=64,
    precision="fp32",
    threads=2,
    seed=7,
    reading=Reading(data="t.csv", target="label", inputs=("title", "text")),
    predicted=(Cost("full", 1.5, 2**40),),
    reasons=("Because.",),
)
NOUNS = [
    PLAN,
    Machine("p", 2, 2**36, None, True, 1e11, 3.3e11, False, {"torch": "2.8"}, 2,
            (Products(8, 4, 2, 1e9), Products(8, 4, 4, 1e9, 2e9)), 2, (Threads(2, 1e9),),
            (Attention("bf16", 32, 0.25, 0.5),), 0, 32, 1e-3, 4e10, 0.0, 1e9, 2**36, 1e12, 4e12),
    Split((0, 2), (1,), Vault((4,), "f"), "d", "l", (LEFT,), ("By hand.",)),
    Audit("d", (Finding("twins", Severity.WARN, 2, ("t.csv:2",), "Two.", "None."),),
          ((0, 1), (2, 3)), left_out=(LEFT,)),
    Run("id", "run", (
        RungResult("full", "rungs/full", SCORE, 1.5, 2**33,
                   (Epoch(1, 0.5, None, None, 0.1), Epoch(2, 0.25, 0.5, 0.75, 0.1)),
                   {"pooling": "mean", "epoch": 2, "l2": 1e-3}, ({"l2": 0.1, "score": 1},), ("n",)),
    ), "full", "It is the only one.", ("mean", "cls"), 2.5),
    Evaluation(
        "f", 10, 1, "accuracy", "full", None,
        (Contender("full", "rung", (SCORE,), None),
         Contender("zero_shot", "before", (SCORE,),
                   Comparison("zero_shot", "full", "accuracy", 0.1, -0.1, 0.3, 3, 2, 1.0, 10))),
        (ClassScores("no", 5, SCORE, SCORE, SCORE),), ("no", "yes"), ((4, 1), (0, 5)),
        (Latency(1, 0.01, 0.02, 60),), 0.25, ("note",),
    ),
    Version("m", 1, "id", {"a/b.json": "ab"}, {"base": "b"}, 0.0, "folder", Report("h", "c")),
    Card("m", "f", None, "ab", "bert", 8, 2, 20, 900, False),
]  # fmt: skip


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_every_noun_comes_back_as_it_was(tmp_path, noun):
    path = records.save(tmp_path / "noun.json", noun)
    assert records.load(path, type(noun)) == noun
    path.write_text(records.to_yaml(noun), encoding="utf-8")
    assert records.load_yaml(path, type(noun)) == noun


def test_a_plan_that_was_edited_and_put_back_has_the_same_id(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(records.to_yaml(PLAN), encoding="utf-8")
    assert records.load_yaml(path, Plan).id == PLAN.id
    path.write_text(records.to_yaml(PLAN).replace("0.0001", "1.0e-3"), encoding="utf-8")
    assert records.load_yaml(path, Plan).id != PLAN.id


def test_a_nan_survives(tmp_path):
    path = records.save(tmp_path / "s.json", Score("f1", math.nan, 0.0, 1.0, 3))
    assert math.isnan(records.load(path, Score).value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed: 7", "sed: 7", "No setting in .*plan.yaml is called 'sed'. Did you mean 'seed'"),
        ("  target: label", "  targt: label", "'targt'. Did you mean 'target'"),
        ("- strategy: full", "- stratgy: full", "'stratgy'. Did you mean 'strategy'"),
        ("task: classification\n", "", "does not say 'task', which is needed"),
        ("seed: 7", "seed: seven", "seven"),
        ("seed: 7", "seed: 7.5", "7.5"),
        ("seed: 7", "seed: true", "True"),
        ("threads: 2", "threads: null", "None"),
        ("metric: accuracy", "metric: null", "None"),
        ("rate: 0.0001", "rate: [1]", r"\[1\]"),
        ("rate: 0.0001", "rate: null", "None"),
        ("  inputs:\n  - title\n  - text", "  inputs: title", "title"),
        ("seed: 7", "seed: [", "not readable as YAML"),
        ("seed: 7", "seed: !!python/object/apply:os.getcwd []", "not readable as YAML"),
    ],
)
def test_what_is_wrong_in_a_plan_is_named(tmp_path, old, new, words):
    text = records.to_yaml(PLAN)
    assert old in text
    path = tmp_path / "plan.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(SettingError, match=words):
        records.load_yaml(path, Plan)


@pytest.mark.parametrize("text", ["", "[]", "just words", "3"])
def test_a_file_that_is_no_table_of_settings_is_refused_in_words(tmp_path, text):
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(SettingError, match=r"plan\.yaml"):
        records.load_yaml(tmp_path / "plan.yaml", Plan)
    (tmp_path / "plan.json").write_text(json.dumps(text))
    with pytest.raises(CorruptFile, match=r"plan\.json"):
        records.load(tmp_path / "plan.json", Plan)


def test_a_missing_yaml_file_is_named(tmp_path):
    with pytest.raises(SettingError, match=r"Could not read .*gone\.yaml"):
        records.load_yaml(tmp_path / "gone.yaml", Plan)


def test_a_whole_number_may_stand_where_a_fraction_is_meant():
    assert records.from_plain({"rung": "a", "seconds": 1, "peak_bytes": 2}, Cost, place="") == (
        Cost("a", 1.0, 2)
    )
