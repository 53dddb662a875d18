"""Every setting of every strategy has its reason, and a plan tells it with the value it has."""

from fettle.core.plan import Rung
from fettle.strategies import DEFAULTS
from fettle.strategies.why import OF_PICTURES, WHY, setting_reasons


def rung(name, **settings):
    return Rung(name, {**DEFAULTS[name], **settings})


def test_no_setting_is_without_a_reason_and_no_reason_without_a_setting():
    every = {name for settings in DEFAULTS.values() for name in settings}
    own = {f"{name} of {strategy}" for strategy, settings in DEFAULTS.items() for name in settings}
    assert every <= {*WHY}
    assert {*WHY} <= every | own
    assert {*OF_PICTURES} <= every


def test_pictures_have_reasons_of_their_own():
    (rate,) = [one for one in setting_reasons([rung("full"), rung("lora", rate=1.5e-4)], {},
                                              modality="image") if one.startswith("rate 0")]
    assert rate.startswith("rate 0.00015 (full, lora): of the top block; networks of pictures")


def test_one_reason_stands_for_all_rungs_that_it_holds_for():
    told = setting_reasons([rung("top"), rung("full"), rung("bitfit")], {})
    (decay, none) = [one for one in told if one.startswith("weight_decay")]
    assert decay == (
        "weight_decay 0.01 (top, full): AdamW's usual, not on norms and biases (Loshchilov and "
        "Hutter 2019)."
    )
    assert none == "weight_decay 0 (bitfit): biases are never decayed."
    assert len([one for one in told if one.startswith("dropout 0.1 (top, full, bitfit)")]) == 1


def test_what_was_asked_for_is_told_with_what_is_usual():
    told = setting_reasons([rung("full", dropout=0.25, schedule="linear")],
                           {"dropout": 0.25, "schedule": "linear"})
    assert "dropout 0.25 (full): as asked; 0.1 is usual." in told
    assert "schedule linear (full): as asked; cosine is usual." in told
    assert "clip 1 (full): the usual longest gradient: one batch cannot throw the weights far." in (
        told)


def test_every_setting_of_every_rung_is_told_once():
    rungs = [rung(name) for name in DEFAULTS]
    told = setting_reasons(rungs, {})
    assert len(set(told)) == len(told)
    for one in rungs:
        for name in one.settings:
            assert len([line for line in told if line.startswith(f"{name} ")
                        and one.strategy in line.partition("(")[2].partition(")")[0].split(", ")
                        ]) == 1, (one.strategy, name)
