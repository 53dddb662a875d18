"""The circle: a champion, new rows, a challenger; what it forgot, and the gate."""

import shutil
from dataclasses import asdict, replace

import pytest

from fettle import pipeline, rebuilding, upkeep
from fettle.core.errors import SettingError
from fettle.core.progress import finish
from fettle.measures import sources
from fettle.modalities import showing, wording
from fettle.models.cards import card_of
from fettle.models.handing_on import hand_on
from fettle.models.network import open_network
from fettle.store import arrow, records
from fettle.store.registry import Registry
from stories import texts_and_labels, write_rows


@pytest.fixture
def here(told, tmp_path):
    shutil.copytree(told.registry, tmp_path / ".fettle",
                    ignore=shutil.ignore_patterns("runs", "cache"))
    return str(tmp_path / ".fettle")


@pytest.fixture
def new(tmp_path, rows):
    return write_rows(tmp_path / "reviewed.csv", texts_and_labels(60, seed=8, without=rows))


def test_a_challenger_learns_from_new_rows_and_is_judged_on_every_vault(
    told, fettle, here, new, tmp_path
):
    done = fettle("retrain", "tickets", new, "--registry", here, "--rungs", "features", "--json",
                  "--start", "base")
    assert done.code == 0, done.err
    made = done.json
    assert (made["version"], made["champion"], made["start"]) == ("tickets@2", "tickets@1", "base")
    held = Registry(here)
    pointers = held.pointers("tickets")
    assert (pointers["champion"].number, pointers["challenger"].number) == (1, 2)
    before, after = (
        arrow.read(held.paths(held.find(f"tickets@{number}")[2])["rows.arrow"]) for number in (1, 2)
    )

    def side(table, name):
        return {text for text, at in zip(table.column("text").to_pylist(),
                                         table.column("side").to_pylist(), strict=True)
                if at == name}

    assert side(before, "test") < side(after, "test")
    assert not side(before, "test") & (side(after, "train") | side(after, "validation"))
    fresh = side(after, "test") - side(before, "test")
    assert len(fresh) == 12  # a fifth of 60
    vaults = {one["metric"]: one["rows"] for one in made["vaults"]}
    assert vaults == {"test rows of tickets@1": len(side(before, "test")),
                      "test rows of tickets@2": len(fresh)}
    assert made["verdict"]["challenger"] == "tickets@2"
    assert not made["verdict"]["promoted"]
    assert upkeep.history("tickets", registry=here)[-1].event == "gate", "it was asked, dry"
    again = fettle("retrain", "tickets", new, "--registry", here, "--rungs", "features", "--json",
                   "--start", "base")
    assert again.json["version"] == "tickets@2"  # the same command makes nothing twice


def test_a_tuned_champion_is_a_start_of_its_own_and_the_better_start_is_published(
    two_of, here_of_two, new, on_this_machine
):
    upkeep_verdict = finish(upkeep.promote("tickets@2", registry=here_of_two, force=True,
                                           reason="its backbone was tuned"))
    assert upkeep_verdict.promoted
    events = list(rebuilding.rebuild("tickets", new, registry=here_of_two, rungs=("features",),
                                     promote=True, reason="new rows"))
    made = events[-1]
    assert {one.name for one in made.starts} == {"base", "champion"}
    best = max(made.starts, key=lambda one: one.validation.value)
    assert made.start == best.name
    assert made.version == "tickets@3"
    versions = upkeep.versions("tickets", registry=here_of_two)
    assert [one["version"] for one in versions] == ["tickets@1", "tickets@2", "tickets@3"]
    assert made.verdict is not None
    assert upkeep.history("tickets", registry=here_of_two)[-1].event in ("gate", "promote")
    assert upkeep.inspect(registry=here_of_two).problems == ()


@pytest.fixture(scope="session")
def two_of(told, tell, sentences, tmp_path_factory):
    """The story twice on the same rows: the second time the backbone is tuned."""
    from stories import copy_of

    first = copy_of(told, tmp_path_factory.mktemp("two-of"))
    return tell(first.folder, first.folder / "tickets.csv", model=sentences, rungs=("full",),
                registry=str(first.folder / ".fettle"))


@pytest.fixture
def here_of_two(two_of, tmp_path):
    shutil.copytree(two_of.registry, tmp_path / ".fettle",
                    ignore=shutil.ignore_patterns("runs", "cache"))
    return str(tmp_path / ".fettle")


def test_the_backbone_that_is_handed_on_is_the_one_that_was_tuned(two_of, here_of_two, tmp_path):
    import torch

    opened = pipeline.open_version("tickets@2", registry=here_of_two)
    card = hand_on(opened.network, opened.paths["config.json"], opened.paths["tokenizer.json"],
                   tmp_path / "on")
    assert card == card_of(str(tmp_path / "on"))
    found = open_network(card).backbone.state_dict()
    wanted = opened.network.backbone.state_dict()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name
    assert card.sha256 != opened.network.card.sha256


def test_what_cannot_be_retrained_is_said(fettle, here, new, tmp_path, rows):
    bare = write_rows(tmp_path / "bare.csv", [("lost card",)], header=("text",))
    known = write_rows(tmp_path / "known.csv", rows[:20])
    for arguments, said in (
        (("tickets", bare), "no column 'label'"), (("tickets@1", new), "name alone"),
        (("tickets", new, "--start", "middle"), "--start"), (("tickets", known), "0 of 20 new"),
        (("nothing", new), "nothing"),
    ):
        done = fettle("retrain", *arguments, "--registry", here)
        assert (done.code, said in done.err) == (2, True), done.err
    opened = pipeline.open_version("tickets", registry=here)
    opened.paths.pop("rows.arrow")
    with pytest.raises(SettingError, match="without its rows"):
        rebuilding._rows(opened, None, 0)


def test_the_rows_of_a_file_come_with_who_labelled_them(here, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ALWAYS", 3)
    told = write_rows(tmp_path / "told.csv", [
        (f"a new text {at}", "lost card", "flood" if at else "ann; bob") for at in range(30)
    ], header=("text", "label", "person"))
    opened = pipeline.open_version("tickets", registry=here)
    table, notes = rebuilding._rows(opened, str(told), 0)
    assert sum(text.startswith("a new text") for text in table.column("text").to_pylist()) == 4
    assert any("flood alone labelled 29 of 30 new rows" in note for note in notes)
    assert "person" not in table.column_names


@pytest.mark.parametrize("asked", [
    None, "none", "light,views=3", "trivial,mixup=0.2,cutmix=1,erasing=0.25", "rand,views=0",
])
def test_pictures_are_changed_as_the_champion_s_were(asked):
    made = showing._changed(asked)
    again = rebuilding._augment(records.to_plain({"pictures": made, "texts": None}))
    assert showing._changed(again) == made
    assert (again is None) == (asked is None)
    few_epochs = replace(made, views=0, live=6)  # as allotting leaves six views in six epochs
    assert showing._changed(rebuilding._augment({"pictures": asdict(few_epochs)})).views == 6


@pytest.mark.parametrize("asked", [None, "deletion=0.1,swap=0.25", "mask=0.15"])
def test_texts_are_changed_as_the_champion_s_were(asked, told):
    opened = pipeline.open_version("tickets", registry=told.registry)
    texts, _ = wording.changed(asked, columns=1)
    opened = replace(opened, plan={**opened.plan, "texts": records.to_plain(texts)})
    given = rebuilding._settings(opened, "tickets", told.registry, 0, None)
    assert wording.changed(given.augment, columns=1)[0] == texts
    assert (given.augment is None) == (asked is None)


def test_texts_are_cut_where_the_champion_s_were(told):
    opened = pipeline.open_version("tickets", registry=told.registry)
    opened = replace(opened, plan={**opened.plan, "max_tokens": 9})
    assert rebuilding._settings(opened, "tickets", told.registry, 0, None).max_tokens == 9
