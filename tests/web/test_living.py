"""A server's life: a new champion under load, too much load, a kill, its end, and its journal."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from fettle import pipeline
from fettle.store import checkpoints, files, journal
from fettle.store.registry import Registry
from patience import PATIENCE
from serving import serving
from stories import _started, flip_byte, pinned

TEXT = "my card is lost top"


slow = pytest.mark.slow
"""They start servers of their own, which takes seconds."""


def promote(place, number: int) -> None:
    held = Registry(place / ".fettle")
    held.move("tickets", number, seen=held.pointers("tickets")["champion"], event="promote")


def answers_in(place):
    return journal.answers(place / ".fettle" / "journal" / "tickets").answers


class Load:
    """Clients that ask one after another until told to end."""

    def __init__(self, server, clients: int = 4) -> None:
        self.heard = []
        self._server, self._over = server, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        while not self._over.is_set():
            self.heard.append(self._server.predict(TEXT))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def versions(self) -> list[str]:
        return [one.json["version"] for one in self.heard]

    @property
    def last(self) -> str:
        return self.heard[-1].json["version"]


@slow
def test_a_new_champion_takes_over_under_load_and_no_request_fails(machine, shelf):
    with pinned(machine):
        own = {
            version: dict(pipeline.predict(version, [TEXT], registry=str(shelf / ".fettle"))[0][0]
                          .probabilities)
            for version in ("tickets@1", "tickets@2")
        }
    assert own["tickets@1"] != pytest.approx(own["tickets@2"], abs=1e-3)
    with serving(machine, shelf, "--poll", "0.1s") as server, Load(server) as load:
        server.wait_until(lambda: len(load.heard) > 20)
        promote(shelf, 2)
        server.wait_until(lambda: load.last == "tickets@2")
        count = len(load.heard)
        server.wait_until(lambda: len(load.heard) > count + 20)
        promote(shelf, 1)
        server.wait_until(lambda: load.last == "tickets@1")
        assert server.metric('fettle_swaps_total{outcome="swapped"}') == 2
    assert {one.status for one in load.heard} == {200}
    for one in load.heard:
        version = one.json["version"]
        assert one.headers["x-fettle-version"] == version
        found = one.json["predictions"][0]["probabilities"]
        assert found == pytest.approx(own[version], abs=1e-4), "of the version that it names"
    assert any("tickets@2 answers from now on, tickets@1 did" in line for line in server.said)


@slow
def test_a_version_that_is_damaged_is_kept_out_aloud_and_the_old_one_goes_on(machine, shelf):
    held = Registry(shelf / ".fettle")
    _, _, manifest = held.find("tickets@2")
    path = held.blobs.path(manifest["files"]["model.safetensors"])
    path.chmod(0o644)
    flip_byte(path)
    with serving(machine, shelf, "--poll", "0.1s") as server, Load(server) as load:
        promote(shelf, 2)
        server.wait_until(lambda: server.metric("fettle_champion_kept_out") == 1)
        time.sleep(0.3)
        assert server.metric('fettle_swaps_total{outcome="kept_out"}') == 1, "tried once"
        told = server.ask("GET", "/v2/models/tickets").json["parameters"]["kept_out"]
        assert "tickets@2 is kept out" in told
        assert server.ask("GET", "/v2/health/ready").status == 200
        promote(shelf, 1)
        server.wait_until(lambda: server.metric("fettle_champion_kept_out") == 0)
    assert {one.status for one in load.heard} == {200}
    assert set(load.versions()) == {"tickets@1"}
    assert sum("kept out" in line for line in server.said) == 1


@slow
def test_a_version_that_answers_otherwise_than_where_it_was_made_is_kept_out(machine, shelf):
    held = Registry(shelf / ".fettle")
    odd = shelf / "odd"
    for name, path in held.paths(held.find("tickets@2")[2]).items():
        files.copy_file(path, odd / name)
    tensors = checkpoints.read_tensors(odd / "model.safetensors")
    bias = next(name for name in tensors if name.startswith("head") and name.endswith("bias"))
    checkpoints.write_tensors(odd / "model.safetensors", {**tensors, bias: tensors[bias] + 0.3})
    assert held.publish("tickets", odd, {})[0] == 3
    with serving(machine, shelf, "--poll", "0.1s") as server:
        promote(shelf, 3)
        server.wait_until(lambda: server.metric("fettle_champion_kept_out") == 1)
        assert server.predict(TEXT).json["version"] == "tickets@1"
        assert any("answers otherwise than where it was made" in line for line in server.said)


@slow
def test_a_version_that_was_named_by_its_number_stays(machine, shelf):
    with serving(machine, shelf, "--poll", "0.1s") as server:
        assert server.predict(TEXT).json["version"] == "tickets@1"
    process = _started(
        machine, ["serve", "tickets@2", "--port", 0, "--poll", "0.1s"], shelf, False, None, {}
    )
    line = process.stderr.readline()
    process.kill()
    process.communicate()
    assert line.startswith("tickets@2 answers")


@slow
def test_what_is_too_much_is_told_to_come_back_and_the_rest_is_answered(machine, two_versions):
    with serving(machine, two_versions, "--queue", 64, "--batch", 8) as server:
        server.predict(TEXT)
        before = server.memory_bytes()
        rows = [f"{TEXT} now pay late money {number}" for number in range(60)]
        heard = []

        def press() -> None:
            while len(heard) < 300 or len({one.status for one in heard}) < 2:
                heard.append(server.predict(*rows))

        with ThreadPoolExecutor(24) as pool:
            for done in [pool.submit(press) for _ in range(24)]:
                done.result()
        assert {one.status for one in heard} == {200, 503}
        for one in heard:
            if one.status == 503:
                assert int(one.headers["retry-after"]) >= 1
                assert "rows are waiting already" in one.error
            else:
                assert len(one.json["predictions"]) == 60
        assert server.predict(TEXT).status == 200
        assert server.metric("fettle_queue_rows") == 0
        assert server.memory_bytes() - before < 60e6


@slow
def test_an_answer_that_comes_too_late_is_a_504_and_its_rows_are_not_done(machine, two_versions):
    with serving(machine, two_versions, "--deadline", "0.002s") as server:
        rows = [f"{TEXT} {number}" for number in range(250)]
        heard = server.predict(*rows)
        assert heard.status == 504
        assert "No answer within 0.002 s" in heard.error
        time.sleep(0.3)
        assert server.metric("fettle_rows_total") < 250
        assert server.metric("fettle_queue_rows") == 0


@slow
def test_sigterm_lets_what_was_asked_be_answered_and_ends_with_0(machine, shelf):
    with serving(machine, shelf, "--batch", 1) as server, ThreadPoolExecutor(4) as pool:
        rows = [f"{TEXT} {number}" for number in range(200)]
        asked = []

        def some_wait():
            """Whether rows do; on a busy machine those of one request may be done unseen."""
            if not asked or asked[-1].done():
                asked.append(pool.submit(server.predict, *rows))
            return server.metric("fettle_queue_rows") > 0

        server.wait_until(some_wait)
        server.process.send_signal(signal.SIGTERM)
        assert {one.result().status for one in asked} == {200}
        assert server.process.wait(PATIENCE) == 0
    assert len(answers_in(shelf)) == 200 * len(asked)
    assert "Everything that was asked is answered." in "".join(server.said)


@slow
def test_after_a_kill_the_journal_holds_what_was_answered_and_a_new_server_goes_on(machine, shelf):
    with serving(machine, shelf) as server:
        first = server.predict(TEXT).json["predictions"][0]["id"]
        server.wait_until(lambda: answers_in(shelf))
        server.process.kill()
        server.process.wait()
    (path,) = (shelf / ".fettle" / "journal" / "tickets").glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"id": "torn')
    with serving(machine, shelf) as server:
        second = server.predict(TEXT).json["predictions"][0]["id"]
        assert server.stop() == 0
    assert [one.id for one in answers_in(shelf)] == [first, second]


@slow
def test_the_journal_holds_no_text_unless_it_is_told_to(machine, shelf):
    for more, kept in (((), False), (("--journal-inputs",), True)):
        with serving(machine, shelf, "--audit-share", 1, *more) as server:
            heard = server.predict(f"{TEXT} secret{len(more)}")
            assert server.stop() == 0
        written = "".join(
            path.read_text() for path in (shelf / ".fettle" / "journal").rglob("*.jsonl")
        )
        assert (f"secret{len(more)}" in written) is kept
        last = answers_in(shelf)[-1]
        assert last.id == heard.json["predictions"][0]["id"]
        assert last.version == "tickets@1"
        assert last.stream == "audit"
        assert last.embedding.shape == (32,)
        assert (last.inputs == {"text": f"{TEXT} secret1"}) is kept
    assert not any("secret" in line for line in server.said)


@slow
def test_no_journal_is_kept_where_none_is_wanted(machine, shelf):
    with serving(machine, shelf, "--no-journal") as server:
        assert server.predict(TEXT).status == 200
        assert server.stop() == 0
    assert not (shelf / ".fettle" / "journal").exists()


@slow
def test_a_full_disk_stops_no_answer_and_is_said(machine, shelf):
    with serving(machine, shelf, FETTLE_FAILPOINT="enospc@append") as server:
        ids = [server.predict(TEXT).json["predictions"][0]["id"]]
        server.wait_until(lambda: "The journal cannot be written" in "".join(server.said))
        heard = server.predict(TEXT)
        assert heard.status == 200
        ids.append(heard.json["predictions"][0]["id"])
        assert server.stop() == 0
    assert any("The journal cannot be written; answering goes on." in line for line in server.said)
    assert [one.id for one in answers_in(shelf)] == ids, "what waited was written in the end"


TOKEN = "a-token-of-more-than-16"


@slow
def test_with_a_token_only_who_sends_it_is_answered(machine, two_versions, tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    with serving(machine, two_versions, "--token-file", path, "--host", "0.0.0.0") as server:
        assert server.predict(TEXT).status == 401
        assert server.predict(TEXT, authorization=f"Bearer {TOKEN}x").status == 401
        assert server.predict(TEXT, authorization=f"Basic {TOKEN}").status == 401
        heard = server.ask("GET", "/metrics")
        assert heard.status == 401
        assert heard.headers["www-authenticate"] == "Bearer"
        assert server.ask("GET", "/v2/health/ready").status == 200
        assert server.ask("GET", "/v2/models/tickets").status == 401
        assert server.predict(TEXT, authorization=f"Bearer {TOKEN}", host="any").status == 200
        assert TOKEN not in "".join(server.said)


@pytest.mark.parametrize(("arguments", "environment", "sentence"), [
    (["--host", "0.0.0.0"], {}, "so the server needs a token"),
    (["--host", "::"], {}, "so the server needs a token"),
    ([], {"FETTLE_TOKEN": "short"}, "The token has 5 characters"),
    (["--token-file", "none"], {}, "none cannot be read"),
    (["--audit-share", "2"], {}, "--audit-share is 2"),
    (["--queue", "0"], {}, "numbers of rows"),
    (["--rows", "0"], {}, "at least 1"),
    (["--port", "70000"], {}, "from 0 to 65535"),
    (["--host", "no.such.host.invalid", "--token-file", "token"], {}, "Could not listen"),
])
def test_a_server_that_may_not_be_is_not_started(
    fettle, two_versions, monkeypatch, arguments, environment, sentence
):
    monkeypatch.chdir(two_versions)
    (two_versions / "token").write_text(TOKEN)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = fettle("serve", "tickets", *arguments)
    assert (done.code, sentence in done.err) == (2, True), done.err


def test_a_port_that_is_taken_is_told(fettle, server, two_versions, monkeypatch):
    monkeypatch.chdir(two_versions)
    done = fettle("serve", "tickets", "--port", server.port)
    assert done.code == 2
    assert f"port {server.port}: Address already in use" in done.err


def test_a_version_that_is_not_there_is_told_with_the_nearest_name(fettle, shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    done = fettle("serve", "ticket", "--port", 0)
    assert done.code == 2
    assert "Did you mean 'tickets'?" in done.err
