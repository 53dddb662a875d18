"""The log: what was altered, left out, cut off or added behind its back is found."""

import pytest

from fettle.core.upkeep import Pointer
from fettle.store import files
from fettle.store.inspecting import inspect


@pytest.fixture
def registry(place, tmp_path):
    files.write_text(tmp_path / "made" / "weights", "w")
    registry = place.open(actor="ann")
    for number in (1, 2):
        registry.publish("m", tmp_path / "made", {"n": number})
    registry.move("m", 2, seen=Pointer(1, 1), event="promote", reason="better")
    assert inspect(registry).problems == ()
    return registry


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE events SET actor = 'eve' WHERE id = 3", "Event 3 of the log .publish m. was al"),
        ("UPDATE events SET reason = 'worse' WHERE id = 5", "Event 5"),
        ("UPDATE events SET at = '2020-01-01' WHERE id = 1", "Event 1"),
        ("UPDATE events SET detail = '{\"number\": 1}' WHERE id = 5", "Event 5"),
        ("UPDATE events SET previous = '' WHERE id = 2", "Event 2"),
        ("DELETE FROM events WHERE id = 2", "Event 2 of the log is gone"),
        ("DELETE FROM events WHERE id = 5", "ends after 4 events; 5 were written"),
        ("DELETE FROM events", "ends after 0 events"),
        ("INSERT INTO events SELECT 6, at, name, event, actor, reason, detail, previous, hash "
         "FROM events WHERE id = 5", "Event 6"),
        ("UPDATE head SET events = 4", "ends after 5 events; 4 were written"),
        ("UPDATE pointers SET number = 1 WHERE pointer = 'champion'",
         "The champion of m is 1, and the log says 2"),
        ("DELETE FROM pointers WHERE pointer = 'previous'", "previous of m is nowhere"),
        ("UPDATE versions SET manifest = '{\"files\": {}}' WHERE number = 1",
         "The entry of m@1 was altered"),
        ("UPDATE versions SET sha256 = 'x' WHERE number = 2", "The entry of m@2 was altered"),
        ("UPDATE versions SET collected = 'x' WHERE number = 2", "differ on whether"),
        ("INSERT INTO versions (name, number, at, manifest, sha256) VALUES ('m', 3, '', '{}', '')",
         "m@3 is in the registry, and the log does not tell of it"),
    ],
)
def test_what_was_changed_behind_the_registrys_back_is_found(registry, change, words):
    with registry.database.writing() as connection:
        connection.exec_driver_sql(change)
    problems = " ".join(inspect(registry).problems)
    import re

    assert re.search(words, problems), problems


def test_a_log_without_its_entry_is_found(place, registry, tmp_path):
    registry.publish("other", tmp_path / "made", {})
    with registry.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM pointers WHERE name = 'other'")
        connection.exec_driver_sql("DELETE FROM versions WHERE name = 'other'")
    assert "other@1 was published and is gone" in " ".join(inspect(registry).problems)
