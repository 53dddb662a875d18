"""The story after publishing: compared, promoted, taken back, looked after, from the shell too."""

import json
import shutil

import pytest

import fettle as library
from fettle import console, pipeline, upkeep, watching
from fettle.core.errors import CorruptFile, PointerMoved, SettingError
from fettle.core.progress import finish
from fettle.stages import retraining
from fettle.store import checkpoints, files
from fettle.store.registry import Registry
from stories import copy_of, flip_byte


@pytest.fixture(scope="session")
def two(told, tell, sentences, tmp_path_factory):
    """The story twice on the same rows: the second time only `full` is climbed."""
    folder = tmp_path_factory.mktemp("two")
    first = copy_of(told, folder)
    return tell(first.folder, first.folder / "tickets.csv", model=sentences, rungs=("full",),
                registry=str(folder / ".fettle"))


@pytest.fixture
def here(two, tmp_path):
    """A copy of that registry, to be altered."""
    shutil.copytree(two.registry, tmp_path / ".fettle",
                    ignore=shutil.ignore_patterns("runs", "cache"))
    return str(tmp_path / ".fettle")


def promoted(reference, registry, **given):
    return finish(upkeep.promote(reference, registry=registry, **given))


def champion(registry):
    return Registry(registry).find("tickets")[1]


def test_a_second_version_is_the_challenger_and_the_champion_answers_on(two, here):
    assert two.version.id == "tickets@2"
    assert [one["pointers"] for one in upkeep.versions("tickets", registry=here)] == [
        ["champion"], ["challenger"]
    ]
    assert pipeline.predict("tickets", ["lost card"], registry=here)[0][0].version == "tickets@1"


def test_a_verdict_is_in_the_log_with_every_gate_whether_or_not_the_pointer_moved(here):
    verdict = promoted("tickets@challenger", here, reason="weekly")
    last = upkeep.history("tickets", registry=here)[-1]
    assert last.event == ("promote" if verdict.promoted else "gate")
    kept = last.detail["verdict"]
    assert [gate["name"] for gate in kept["gates"]] == [
        "accuracy", "slices", "calibration", "negative_flips", "latency", "size", "audit"
    ]
    for gate in kept["gates"]:
        assert {"value", "threshold", "verdict", "low", "high", "rows"} <= set(gate)
    assert (last.reason, kept["decision"]) == ("weekly", verdict.decision)
    assert champion(here) == (2 if verdict.promoted else 1)
    assert upkeep.inspect(registry=here).problems == ()


def test_the_gate_judges_the_probabilities_that_are_served(two, here):
    opened = pipeline.open_version("tickets@2", registry=here)
    assert opened.temperature != 1.0
    rows = two.split.vault.sealed
    found = upkeep._candidate(opened).answers(two.dataset.fields(rows)).max(axis=1)
    texts = two.dataset.column("text", rows)
    served = [one.confidence for one in pipeline.predict("tickets@2", texts, registry=here)[0]]
    assert found == pytest.approx(served, abs=1e-6)


def test_force_needs_a_reason_and_is_written_down(here):
    for reason in ("", "   "):
        with pytest.raises(SettingError, match="--reason"):
            promoted("tickets@2", here, force=True, reason=reason)
    verdict = promoted("tickets@2", here, force=True, reason="the board wants it", actor="ann")
    assert verdict.promoted
    assert champion(here) == 2
    last = upkeep.history("tickets", registry=here)[-1]
    assert (last.event, last.actor, last.reason) == ("promote", "ann", "the board wants it")
    assert last.detail["verdict"]["forced"] == (verdict.decision != "promote")


def test_a_dry_run_asks_every_gate_and_moves_nothing(fettle, here):
    done = fettle("promote", "tickets@2", "--dry-run", "--registry", here, "--json")
    assert done.code == (0 if done.json["decision"] == "promote" else 3)
    assert not done.json["promoted"]
    assert champion(here) == 1
    last = upkeep.history("tickets", registry=here)[-1]
    assert (last.event, last.detail["verdict"]["decision"]) == ("gate", done.json["decision"])
    standing = watching.standing("tickets", registry=here)
    assert standing.challenger_verdict == done.json["decision"]
    with pytest.raises(SettingError, match="--dry-run moves nothing"):
        promoted("tickets@2", here, dry=True, force=True, reason="both")


def test_a_challenger_that_passed_is_to_be_promoted_and_a_verdict_on_another_champion_is_none(here):
    assert watching.standing("tickets", registry=here).challenger_verdict is None
    held = Registry(here)
    said = {"challenger": "tickets@2", "champion": "tickets@1", "generation": 1}
    held.log("tickets", "gate", detail={"verdict": {**said, "decision": "promote"}})
    made = retraining.decide(watching.standing("tickets", registry=here))
    assert (made.action, made.command) == ("promote", "fettle promote tickets@2")
    held.log("tickets", "gate", detail={"verdict": {**said, "generation": 7,
                                                    "decision": "promote"}})
    assert watching.standing("tickets", registry=here).challenger_verdict is None


def test_what_was_taken_back_is_nothing_to_go_back_to(here):
    promoted("tickets@2", here, force=True, reason="a trial")
    assert watching.standing("tickets", registry=here).previous == "tickets@1"
    upkeep.rollback("tickets", registry=here, reason="it was slow")
    assert watching.standing("tickets", registry=here).previous is None


def test_rollback_takes_back_and_twice_goes_forth_again(here):
    promoted("tickets@2", here, force=True, reason="a trial")
    done = upkeep.rollback("tickets", registry=here, reason="it was slow")
    assert (done["champion"], done["previous"], done["generation"]) == ("tickets@1", "tickets@2", 3)
    assert done["largest_difference"] <= 1e-3
    assert pipeline.predict("tickets", ["lost card"], registry=here)[0][0].version == "tickets@1"
    assert upkeep.rollback("tickets", registry=here)["champion"] == "tickets@2"
    assert upkeep.rollback("tickets", to=1, registry=here)["champion"] == "tickets@1"
    assert upkeep.inspect(registry=here).problems == ()


def test_there_must_be_something_to_go_back_to(here):
    with pytest.raises(SettingError, match="has had one champion"):
        upkeep.rollback("tickets", registry=here)
    with pytest.raises(SettingError, match="champion already"):
        upkeep.rollback("tickets", to=1, registry=here)
    with pytest.raises(SettingError, match="champion already"):
        promoted("tickets@1", here)
    with pytest.raises(SettingError, match=r"Which version.*tickets@challenger"):
        promoted("tickets", here)
    with pytest.raises(SettingError, match="--to"):
        upkeep.rollback("tickets@2", registry=here)


@pytest.mark.parametrize("name", ["model.safetensors", "task.json", "certificate.arrow"])
def test_a_version_whose_byte_flipped_does_not_become_champion(here, name):
    registry = Registry(here)
    flip_byte(registry.paths(registry.find("tickets@2")[2])[name], 9)
    for move in (
        lambda: promoted("tickets@2", here, force=True, reason="now"),
        lambda: upkeep.rollback("tickets", to=2, registry=here),
    ):
        with pytest.raises(CorruptFile):
            move()
    assert champion(here) == 1
    (problem,) = upkeep.inspect(registry=here).problems
    assert f"tickets@2: {name}" in problem


def test_a_version_that_answers_otherwise_than_it_did_does_not_become_champion(here, tmp_path):
    """Its files are whole and their hashes right: it is another model that was published so."""
    registry = Registry(here)
    paths = registry.paths(registry.find("tickets@2")[2])
    for name, path in paths.items():
        files.copy_file(path, tmp_path / "odd" / name)
    weights = tmp_path / "odd" / "model.safetensors"
    tensors = checkpoints.read_tensors(weights)
    bias = next(name for name in tensors if name.startswith("head") and name.endswith("bias"))
    tensors[bias] = tensors[bias] + 0.3
    checkpoints.write_tensors(weights, tensors)
    assert registry.publish("tickets", tmp_path / "odd", {})[0] == 3
    with pytest.raises(CorruptFile, match="answers otherwise than where it was made"):
        promoted("tickets@3", here, force=True, reason="now")
    with pytest.raises(CorruptFile, match="answers otherwise"):
        upkeep.rollback("tickets", to=3, registry=here)
    (tmp_path / "odd" / "certificate.arrow").unlink()
    registry.publish("tickets", tmp_path / "odd", {})
    with pytest.raises(CorruptFile, match="holds no answers to compare with"):
        promoted("tickets@4", here, force=True, reason="now")
    assert champion(here) == 1


def test_who_was_slower_is_told_and_changes_nothing(here, monkeypatch):
    from fettle.stages import promoting

    real = promoting.promote

    def interrupted(*given, **more):
        verdict = yield from real(*given, **more)
        upkeep.rollback("tickets", to=2, registry=here, reason="in between", actor="bob")
        return verdict

    monkeypatch.setattr(promoting, "promote", interrupted)
    with pytest.raises(PointerMoved, match=r"rollback by bob") as refused:
        promoted("tickets@2", here, force=True, reason="now")
    assert refused.value.exit_code == 3
    assert upkeep.history("tickets", registry=here)[-1].reason == "in between"


@pytest.mark.usefixtures("on_this_machine")
def test_a_version_without_its_rows_is_not_compared_unless_forced(here, two, tell, sentences,
                                                                  tmp_path):
    other = tell(tmp_path, two.folder / "tickets.csv", model=sentences, rungs=("features",),
                 registry=here, seed=5, keep_rows=False, name="tickets")
    assert other.version.id == "tickets@3"
    with pytest.raises(SettingError, match=r"tickets@3 was published without its rows"):
        promoted("tickets@3", here)
    assert champion(here) == 1
    verdict = promoted("tickets@3", here, force=True, reason="no rows may leave the house")
    assert (verdict.promoted, verdict.forced, verdict.gates) == (True, True, ())
    assert "without its rows" in verdict.notes[0]
    assert upkeep.rollback("tickets", registry=here)["champion"] == "tickets@1"
    text = two.dataset.column("text")[0].encode()
    for path in Registry(here).paths(Registry(here).find("tickets@3")[2]).values():
        assert text not in path.read_bytes(), path


def test_what_differs_between_two_versions(here):
    found = upkeep.differences("tickets@1", "tickets@2", registry=here)
    assert found["versions"] == ["tickets@1", "tickets@2"]
    assert found["lineage"]["rung"] == ["features", "full"]
    assert "plan.json" in found["files"]
    assert any(key.startswith("rungs.") for key in found["plan"])
    same = upkeep.differences("tickets@1", "tickets", registry=here)
    assert not any(same[part] for part in ("plan", "lineage", "scores", "files"))


def test_lineage_names_all_that_the_version_was_made_of(here, two):
    facts = upkeep.show("tickets@2", registry=here)
    assert facts["parent"] == "tickets@1"
    assert facts["plan"] == two.plan.id
    lineage = facts["lineage"]
    assert lineage["data"] == two.split.dataset
    assert lineage["base_weights"] == two.card.sha256
    assert {"code", "fettle", "torch", "test_rows", "learning_rows"} <= set(lineage)
    assert [one["event"] for one in facts["events"]] == ["publish", "challenger"]


def test_the_same_run_published_again_is_the_same_version(two, tmp_path):
    from fettle.stages import publishing

    copied = copy_of(two, tmp_path / "copy")
    again = publishing.publish(
        copied.dataset, copied.plan, copied.split, copied.run, copied.evaluation, copied.report,
        card=copied.card, registry=Registry(copied.registry), keep_rows=True,
    )
    assert again.id == "tickets@2"
    assert len(upkeep.versions(registry=str(copied.registry))) == 2


def test_from_python(here):
    assert [one["version"] for one in library.versions(registry=here)] == ["tickets@1", "tickets@2"]
    verdict = library.promote("tickets@2", registry=here, force=True, reason="a trial")
    assert verdict.promoted
    assert library.rollback("tickets", registry=here) == "tickets@1"
    assert library.history("tickets", registry=here)[-1].event == "rollback"
    assert library.verify(registry=here).problems == ()
    assert library.collect(registry=here, keep=0, grace_days=0, dry=True).versions == ()


def test_from_the_shell(here, fettle, monkeypatch):
    monkeypatch.setattr(console.RESULTS, "_width", 200)
    where = ("--registry", here)
    listed = fettle("versions", *where)
    assert listed.code == 0
    assert "challenger" in listed.out
    assert [one["version"] for one in fettle("versions", "tickets", "--json", *where).json] == [
        "tickets@1", "tickets@2"
    ]
    shown = fettle("show", "tickets@2", *where)
    assert (shown.code, "model.safetensors" in shown.out) == (0, True)
    assert fettle("show", "tickets@2", "--json", *where).json["version"] == "tickets@2"
    assert "rungs" in fettle("diff", "tickets@1", "tickets@2", *where).out
    assert fettle("diff", "tickets@1", "tickets@2", "--json", *where).json["plan"]

    forced = fettle("promote", "tickets@2", "--force", *where)
    assert (forced.code, forced.out) == (2, "")
    assert "--reason" in forced.err
    told = ("--reason", "a trial", "--actor", "ann")
    done = fettle("promote", "tickets@2", "--force", *told, *where)
    assert done.code == 0, done.err
    assert "tickets@2 is champion now" in done.out
    back = fettle("rollback", "tickets", "--reason", "slow", "--json", *where)
    assert back.json["champion"] == "tickets@1"
    told = fettle("history", "tickets", *where).out
    assert "back to tickets@1 from tickets@2" in told
    assert "ann" in told
    assert fettle("history", "--json", *where).json[0]["previous"] == ""
    assert fettle("verify", *where).code == 0
    assert fettle("verify", "--json", *where).json["problems"] == []
    kept = fettle("gc", "--keep", "0", "--grace", "0", "--dry-run", "--json", *where).json
    assert (kept["versions"], kept["dry"]) == ([], True)
    assert fettle("gc", "--grace", "soon", *where).code == 2


def test_exit_code_3_for_no_and_for_a_registry_that_was_altered(here, fettle, monkeypatch):
    from fettle.stages import promoting

    monkeypatch.setattr(promoting, "LARGER", 0.1)  # nothing is so small
    refused = fettle("promote", "tickets@2", "--json", "--registry", here)
    assert refused.code == 3
    assert refused.json["decision"] == "reject"
    assert champion(here) == 1
    said = fettle("promote", "tickets@challenger", "--registry", here)
    assert said.code == 3
    assert "tickets@1 stays champion" in said.out
    registry = Registry(here)
    flip_byte(registry.paths(registry.find("tickets")[2])["task.json"])
    wrong = fettle("verify", "--registry", here)
    assert (wrong.code, "tickets@1: task.json" in wrong.out) == (3, True)


def test_the_whole_story_in_postgresql(postgres, tell, two, sentences, fettle, tmp_path,
                                       monkeypatch):
    url, blobs = postgres(), str(tmp_path / "blobs")
    monkeypatch.chdir(tmp_path)
    for rungs in (("features",), None):
        tell(tmp_path / str(rungs), two.folder / "tickets.csv", model=sentences, registry=url,
             blobs=blobs, rungs=rungs)
    done = fettle("promote", "tickets@2", "--force", "--reason", "a trial", "--registry", url)
    assert done.code == 0, done.err
    assert fettle("rollback", "tickets", "--registry", url).code == 0
    said = fettle("predict", "tickets", "lost card", "--json", "--registry", url)
    assert json.loads(said.out)["version"] == "tickets@1"
    assert fettle("verify", "--registry", url).code == 0
    assert (tmp_path / ".fettle" / "runs").is_dir()
    assert not (tmp_path / ".fettle" / "registry.db").exists()
