"""Planning: a reason for each choice, nothing from a test row, and edited plans checked by name."""

from dataclasses import replace

import pytest

from fettle.core.errors import SettingError, UnknownName
from fettle.core.plan import Machine, Rung
from fettle.core.settings import Settings
from fettle.engine import costs
from fettle.stages import auditing, planning, splitting

MACHINE = Machine("a processor", 2, 2**34, None, False, 1e11, 1e11)


def planned(told, *, dataset=None, machine=MACHINE, card=None, **asked):
    """The Plan of this story's rows, or of others."""
    rows = dataset or told.dataset
    split = splitting.split(rows, auditing.audit(rows), seed=0)
    return planning.plan(rows, split, card or told.card, machine, Settings(**asked))


def labelled(told, labels):
    """The story's rows with these labels."""
    import pyarrow as pa

    at = told.dataset.table.column_names.index("label")
    column = pa.array(labels, pa.string())
    return replace(told.dataset, table=told.dataset.table.set_column(at, "label", column))


def test_what_will_be_learned_is_named_by_its_hash(told):
    made = planned(told)
    assert made.learning == told.split.learning
    assert made.weights == told.card.sha256
    assert made.classes == ("late payment", "lost card", "top up")


def test_columns_that_were_found_stand_in_the_plan_as_if_they_had_been_told(told):
    made = planned(told)
    assert (made.reading.target, made.reading.inputs) == ("label", ("text",))
    assert planned(told, reading=made.reading).id == made.id


def test_the_cheapest_rung_comes_first_and_each_has_a_cost(told):
    made = planned(told)
    assert [rung.strategy for rung in made.rungs] == ["features", "top", "full"]
    assert [cost.rung for cost in made.predicted] == ["features", "top", "full"]
    assert all(cost.seconds > 0 and cost.peak_bytes > 0 for cost in made.predicted)


@pytest.mark.parametrize(
    "words",
    ["'label'", "accuracy", "tokens", "fp32", "budget", "features:", "full:", "test part",
     "validation part"],
)  # fmt: skip
def test_there_is_a_reason_for(told, words):
    assert any(words in reason for reason in planned(told).reasons), planned(told).reasons


def test_macro_f1_decides_where_the_rarest_class_is_under_a_tenth_of_the_largest(told):
    number = told.dataset.rows
    few = [("top up" if row % 12 == 0 else "lost card") for row in range(number)]  # 1 to 11
    many = [("top up" if row % 10 == 0 else "lost card") for row in range(number)]  # 1 to 9
    assert planned(told, dataset=labelled(told, few)).metric == "macro_f1"
    assert planned(told, dataset=labelled(told, many)).metric == "accuracy"


def test_precision_is_what_the_machine_was_measured_to_be_faster_in(told):
    assert planned(told).precision == "fp32"
    faster = replace(MACHINE, bf16=True, flops_bf16=3e11)
    made = planned(told, machine=faster)
    assert made.precision == "bf16"
    assert any("3.0x" in reason for reason in made.reasons)


def test_texts_are_never_read_beyond_what_the_model_allows(told):
    assert planned(told).max_tokens <= told.card.max_tokens
    long = replace(
        told.dataset,
        table=told.dataset.table.set_column(
            told.dataset.table.column_names.index("text"), "text",
            [[f"{text} " * 40 for text in told.dataset.column("text")]],
        ),
    )
    assert planned(told, dataset=long).max_tokens == told.card.max_tokens


def test_nothing_in_a_plan_depends_on_what_the_test_rows_say(told):
    sealed = set(told.split.vault.sealed)
    other = replace(
        told.dataset,
        table=told.dataset.table.set_column(
            told.dataset.table.column_names.index("text"), "text",
            [[f"{'far longer ' * 200} {row}" if row in sealed else text
              for row, text in enumerate(told.dataset.column("text"))]],
        ),
    )
    split = replace(told.split, dataset=other.fingerprint())
    plan = planning.plan(told.dataset, told.split, told.card, MACHINE, Settings())
    assert planning.plan(other, split, told.card, MACHINE, Settings()) == plan


def test_the_id_covers_what_changes_bytes_and_nothing_else(told):
    made = planned(told)
    same = (
        replace(made, name="another"), replace(made, reasons=()), replace(made, predicted=()),
        replace(made, reading=replace(made.reading, data="elsewhere/the same rows.csv")),
    )  # fmt: skip
    other = (
        replace(made, seed=1), replace(made, precision="bf16"), replace(made, threads=4),
        replace(made, rungs=made.rungs[:1]), replace(made, max_tokens=made.max_tokens - 1),
        replace(made, learning="other rows"), replace(made, weights="another model"),
    )  # fmt: skip
    assert {one.id for one in same} == {made.id}
    assert len({made.id, *(one.id for one in other)}) == len(other) + 1


def test_features_come_first_and_the_others_follow_by_what_they_cost(told):
    slow = replace(MACHINE, flops_fp32=1e7)
    asked = ("full", "lora", "gradual", "top", "features")
    made = planned(told, machine=slow, rungs=asked)
    names = [rung.strategy for rung in made.rungs]
    assert names[0] == "features"
    assert set(names) == set(asked)
    seconds = [cost.seconds for cost in made.predicted]
    assert [cost.rung for cost in made.predicted] == names
    assert seconds[1:] == sorted(seconds[1:])
    assert names.index("top") < names.index("gradual") < names.index("full")


def test_features_come_first_even_where_they_are_not_the_cheapest(told):
    made = planned(told)
    assert made.predicted[0].seconds > made.predicted[1].seconds  # tiny: only their start costs
    assert made.rungs[0].strategy == "features"


def test_replay_is_worth_what_the_frozen_part_costs(told):
    slow = replace(MACHINE, flops_fp32=1e7)
    kept = planned(told, machine=slow)
    plain = planned(told, machine=slow, cache_limit=0)
    assert (kept.cache_limit, plain.cache_limit) == (planning.CACHE_LIMIT, 0)
    features, top, full = (
        (one.seconds, other.seconds)
        for one, other in zip(kept.predicted, plain.predicted, strict=True)
    )
    assert top[0] < top[1] < full[1]
    assert features[0] == features[1]
    assert full[0] == full[1]
    assert kept.id != plain.id


def test_a_large_network_gets_adapters_instead_of_full_fine_tuning(told):
    large = replace(told.card, parameters=planning.LARGE + 1)
    made = planned(told, card=large)
    assert {rung.strategy for rung in made.rungs} == {"features", "top", "lora"}
    assert any("adapters of rank 16" in reason for reason in made.reasons)


@pytest.mark.parametrize(("blocks", "awake"), [(1, 1), (2, 1), (6, 2), (12, 4), (24, 8)])
def test_the_top_is_a_third_of_the_blocks_and_at_least_one(told, blocks, awake):
    made = planned(told, card=replace(told.card, blocks=blocks), rungs=("top",))
    assert made.rungs[0].settings["top_blocks"] == awake


@pytest.mark.parametrize(("width", "rate"), [(384, 1.5e-4), (768, 3.75e-5), (32, 1.5e-4)])
def test_a_wider_network_learns_slower(told, width, rate):
    made = planned(told, card=replace(told.card, width=width), rungs=("full",))
    assert made.rungs[0].settings["rate"] == pytest.approx(rate)


def test_a_rung_that_does_not_fit_the_budget_is_left_out_and_said(told):
    slow = replace(MACHINE, flops_fp32=1e7)
    first, second, _ = planned(told, machine=slow).predicted
    made = planned(told, machine=slow, budget_seconds=first.seconds + second.seconds / 1000)
    assert [rung.strategy for rung in made.rungs] == ["features"]
    for name in ("top", "full"):
        assert any(reason.startswith(f"{name} is left out") for reason in made.reasons)


def test_a_rung_gets_fewer_epochs_where_that_fits_the_budget(told):
    slow = replace(MACHINE, flops_fp32=1e7)
    first, second, third = planned(told, machine=slow).predicted
    before = planned(told, machine=slow).rungs[2].settings["epochs"]
    budget = first.seconds + second.seconds + third.seconds * (before - 1) / before + 0.1
    made = planned(told, machine=slow, budget_seconds=budget)
    assert [rung.settings.get("epochs") for rung in made.rungs] == [None, before, before - 1]
    assert sum(cost.seconds for cost in made.predicted) <= budget


def test_the_cheapest_rung_is_climbed_aloud_even_where_nothing_fits_the_budget(told):
    made = planned(told, budget_seconds=0.01)
    assert [rung.strategy for rung in made.rungs] == ["features"]
    assert any("although its predicted" in reason for reason in made.reasons)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"rungs": ("featuers",)}, "Did you mean 'features'"),
        ({"rungs": ("features", "ful")}, "Did you mean 'full'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(told, asked, words):
    with pytest.raises(UnknownName, match=words):
        planned(told, **asked)


def edited(plan, number=-1, **settings):
    rungs = list(plan.rungs)
    rungs[number] = Rung(rungs[number].strategy, {**rungs[number].settings, **settings})
    return replace(plan, rungs=tuple(rungs))


def test_an_edited_number_is_taken_as_it_is(told):
    made = planned(told)
    given = edited(made, epochs=3)
    assert planning.check(given, made, told.card) == given
    assert given.id != made.id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plan: replace(plan, learning="0" * 64), "other rows.*fettle plan"),
        (lambda plan: replace(plan, weights="0" * 64), "made for weights 0000"),
        (lambda plan: replace(plan, classes=("a", "b")), "classes"),
        (lambda plan: edited(plan, epoch=3), "Did you mean 'epochs'"),
        (lambda plan: edited(plan, epochs="three"), r"full\.epochs is 'three'"),
        (lambda plan: edited(plan, 0, l2=0.1), r"features\.l2 is 0\.1"),
        (lambda plan: replace(plan, rungs=(Rung("fulll", {}),)), "Did you mean 'full'"),
        (lambda plan: replace(plan, rungs=(Rung("full", {}),)), "does not say"),
        (lambda plan: replace(plan, task="clasification"), "Did you mean 'classification'"),
        (lambda plan: replace(plan, metric="acuracy"), "Did you mean 'accuracy'"),
        (lambda plan: replace(plan, precision="fp16"), "precision"),
        (lambda plan: replace(plan, modality="texts"), "Did you mean 'text'"),
        (lambda plan: replace(plan, max_tokens=100_000), "max_tokens"),
        (lambda plan: replace(plan, max_tokens=0), "max_tokens"),
        (lambda plan: replace(plan, threads=0), "threads"),
        (lambda plan: replace(plan, rungs=()), "rung"),
        (lambda plan: replace(plan, rungs=plan.rungs[:1] * 2), "twice"),
        (lambda plan: edited(plan, 0, poolings="mean,clss"), "Did you mean 'cls'"),
        (lambda plan: edited(plan, 0, l2="1e-1,many"), "many"),
        (lambda plan: edited(plan, epochs=0), "epochs"),
        (lambda plan: edited(plan, batch_rows=0), "batch_rows"),
        (lambda plan: edited(plan, rate=-1.0), "rate"),
        (lambda plan: edited(plan, word_embeddings="frosen"), "word_embeddings"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused_by_name(told, change, words):
    made = planned(told)
    with pytest.raises(SettingError, match=words):
        planning.check(change(made), made, told.card)


def test_what_is_asked_for_is_taken_by_every_rung_that_has_it(told):
    made = planned(told, asked={"schedule": "slanted", "dropout": "0.25", "epochs": "2"})
    features, *others = made.rungs
    assert "schedule" not in features.settings
    for rung in others:
        assert rung.settings["schedule"] == "slanted"
        assert rung.settings["dropout"] == 0.25
        assert rung.settings["epochs"] == 2
    assert any("schedule slanted" in reason for reason in made.reasons)
    assert made.id != planned(told).id


def test_a_rate_that_is_asked_for_is_taken_as_it_is(told):
    made = planned(told, card=replace(told.card, width=768), rungs=("full",), asked={"rate": "1"})
    assert made.rungs[0].settings["rate"] == 1.0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"loss": "adjust"}, "Did you mean 'adjusted'"),
        ({"dropuot": "0.2"}, "Did you mean 'dropout'"),
        ({"dropout": "much"}, "dropout is 'much'"),
        ({"dropout": "1.5"}, "dropout is 1.5"),
        ({"epochs": "2.5"}, "epochs is '2.5'"),
        ({"label_smoothing": -0.1}, "label_smoothing is -0.1"),
        ({"rank": "4"}, "none of these rungs has it"),
        ({"stop_by": "f1"}, "stop_by"),
    ],
)
def test_what_cannot_be_is_refused_by_name(told, asked, words):
    with pytest.raises(SettingError, match=words):
        planned(told, asked=asked)


def test_contrastive_takes_as_many_steps_in_batches_of_any_size(told):
    def steps(**asked):
        (rung,) = planned(told, rungs=("contrastive",), asked=asked).rungs
        rows = len(told.split.learners)
        return int(rung.settings["epochs"]) * -(-rows // int(rung.settings["batch_rows"]))

    assert steps(batch_rows=16) == pytest.approx(steps(), rel=0.35)
    assert steps(epochs=3, batch_rows=16) == 3 * -(-len(told.split.learners) // 16)


def test_rungs_that_lack_what_was_asked_for_are_named(told):
    made = planned(told, rungs=("features", "contrastive", "full"), asked={"stop_by": "loss"})
    said = "stop_by loss was asked for; without such a setting: features, contrastive."
    assert said in made.reasons
    assert not any("was asked for" in reason for reason in planned(told).reasons)


def test_the_range_test_is_in_the_predicted_seconds(told):
    slow = replace(MACHINE, flops_fp32=1e7)
    plain, found = (
        planned(told, machine=slow, rungs=("full",), asked=asked)
        for asked in ({}, {"rate_by": "find"})
    )
    settings = plain.rungs[0].settings
    steps = int(settings["epochs"]) * len(told.split.learners) / int(settings["batch_rows"])
    before, after = (one.predicted[0].seconds for one in (plain, found))
    assert after - before == pytest.approx((before - costs.RUNG) * 100 / steps, rel=0.01)


def test_texts_are_changed_in_training_only_where_it_is_asked_for(told):
    from fettle.core.plan import Texts

    plain, changed = planned(told), planned(told, augment="deletion=0.1,swap=0.1")
    assert plain.texts is None
    assert any("Wei and Zou" in reason for reason in plain.reasons)
    assert changed.texts == Texts(deletion=0.1, swap=0.1)
    assert any("replay" in reason for reason in changed.reasons)
    assert changed.id != plain.id
    with pytest.raises(UnknownName, match="augmentation of texts"):
        planned(told, augment="trivial")
    edited = replace(changed, texts=Texts(deletion=2.0))
    with pytest.raises(SettingError, match="a share of the words"):
        planning.check(edited, changed, told.card)
