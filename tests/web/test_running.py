"""What a server asks of the system before it listens."""

import sys

from fettle.web.running import _connections


def test_a_system_that_does_not_say_what_it_grants_is_taken_for_a_small_one(monkeypatch):
    said = []
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows: there is no such module
    assert _connections(said.append) == 448
    assert said == ["This system does not say how many connections it grants: 448 are taken at "
                    "once."]


def test_of_what_the_system_grants_a_few_are_left_for_files(monkeypatch):
    import resource

    for granted, taken in ((1024, 960), (100_000, 4032), (resource.RLIM_INFINITY, 4032), (70, 64)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, granted=granted: (granted, granted))
        assert _connections(print) == taken
