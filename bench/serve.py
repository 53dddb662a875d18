"""`fettle serve` against a transformers pipeline behind the same server, under fixed arrival rates.

    FETTLE_DATA=... .venv/bin/python bench/serve.py [--seconds 10] [--overload 60] [--peers bentoml]

The server runs on one core, the load on another (taskset). One text of banking77's test file a
request, open loop (bench/open_loop.py). For each side: the highest rate whose 95th percentile stays
within --limit (100 ms) with no request failed, found by doubling and halving, the median of
--repeats searches in turn. Then fettle alone: ten times that rate for --overload seconds (status
codes, memory, how soon it answers again), and a champion that is swapped every few seconds under
half the rate. The pipeline's network is the same encoder with a head of as many classes whose
weights are random: it does the same work, and its answers are not looked at.
"""

import argparse
import csv
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import announce, data_folder, last_json, report
from peers import environment_of
from sets import rows_of, some

HERE = Path(__file__).resolve().parent
NAME = "banking"
BATCH, ROWS, CLASSES = 32, 3_000, 77
START_SECONDS = 180.0
TRIES = 2
STEPS = 4
"""Halvings of the gap between the highest rate that held and the lowest that did not: to 6%."""


class Side:
    """One server, on its core, and the load on the other."""

    def __init__(self, name: str, command: list[str], cores: tuple[int, int], texts: Path) -> None:
        self.name, self.command, self.cores, self.texts = name, command, cores, texts
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self, folder: Path) -> Iterator["Side"]:
        """Started, asked once, and ended."""
        self.port = free_port()
        command = [part.replace("PORT", str(self.port)) for part in self.command]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        log = (folder / f"{self.name}.log").open("ab")
        self.process = subprocess.Popen(
            ["taskset", "-c", str(self.cores[0]), *command], cwd=folder, env=environment,
            stdout=log, stderr=log,
        )
        try:
            self._wait(folder)
            self.load(20.0, 2.0)  # warm
            yield self
        finally:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
            log.close()

    def _wait(self, folder: Path) -> None:
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > end:
                said = (folder / f"{self.name}.log").read_text(errors="replace")[-2000:]
                sys.exit(f"{self.name} does not answer:\n{said}")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether one text is answered within a second."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1.0)
        try:
            connection.request("POST", "/predict", json.dumps({"rows": ["where is my card"]}))
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def load(self, rate: float, seconds: float) -> dict[str, Any]:
        """What the load generator on the other core found."""
        before = self.processor_seconds()
        found = last_json([
            "taskset", "-c", str(self.cores[1]), sys.executable, str(HERE / "open_loop.py"),
            str(self.port), str(rate), str(seconds), "/predict", str(self.texts), "512",
        ])
        used = self.processor_seconds() - before
        return {**found, "processor_ms": 1000 * used / max(found["asked"], 1)}

    def processor_seconds(self) -> float:
        """User and system time of the server and of the processes that it started."""
        assert self.process is not None
        parents: dict[int, int] = {}
        used: dict[int, float] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                after_name = path.read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            number = int(path.parent.name)
            parents[number] = int(after_name[1])
            ticks = int(after_name[11]) + int(after_name[12])
            used[number] = ticks / os.sysconf("SC_CLK_TCK")
        ours = {self.process.pid}
        while more := {one for one, parent in parents.items() if parent in ours} - ours:
            ours |= more
        return sum(used.get(one, 0.0) for one in ours)

    def memory_bytes(self) -> int:
        """Resident, of the server."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def held(found: dict[str, Any], limit: float) -> bool:
    """Whether every request was answered, in time."""
    return set(found["statuses"]) == {"200"} and found["p95"] <= limit


def tried(side: Side, rate: float, limit: float, seconds: float) -> tuple[bool, dict[str, Any]]:
    """Whether the rate is held in one of two tries: a stall of the machine is no server's fault."""
    for _ in range(TRIES):
        found = side.load(rate, seconds)
        print(f"  {side.name} {rate:.0f}/s: {told(found)}", flush=True)
        if held(found, limit):
            return True, found
    return False, found


def highest(side: Side, limit: float, seconds: float) -> tuple[float, dict[str, Any]]:
    """The highest rate that is held, and what was found at it; 0 where not even the lowest is."""
    low, high, best = 0.0, 20.0, {}
    while (result := tried(side, high, limit, seconds))[0]:
        low, high, best = high, high * 2, result[1]
    for _ in range(STEPS):
        middle = (low + high) / 2
        is_held, found = tried(side, middle, limit, seconds)
        if is_held:
            low, best = middle, found
        else:
            high = middle
    return low, best


def told(found: dict[str, Any]) -> str:
    """One line of what was found."""
    times = "  ".join(
        f"{key} {found[key] * 1000:.1f} ms" for key in ("p50", "p95", "p99") if found[key]
    )
    used = f"{found['processor_ms']:.2f} ms of the processor a request" if (
        "processor_ms" in found) else ""
    return f"{found['answered_a_second']:.0f} answered/s  {times}  {used}  {found['statuses']}"


def overload(side: Side, rate: float, seconds: float) -> dict[str, float]:
    """Far more than it can do: what it says, what it takes, and how soon it answers again."""
    before = side.memory_bytes()
    found = side.load(rate, seconds)
    begun = time.monotonic()
    while not side.answers():
        if time.monotonic() - begun > 60:
            break
    recovered = time.monotonic() - begun
    print(f"overload {rate:.0f}/s for {seconds:.0f} s: {told(found)}; refused p95 "
          f"{(found['refused_p95'] or 0) * 1000:.0f} ms; generator late "
          f"{found['generator_late_seconds']:.1f} s; answers again after {recovered:.2f} s")
    statuses = found["statuses"]
    hung = statuses.get("-1", 0) + statuses.get("-2", 0)
    return {
        "overload_hung": hung,
        "overload_answered_a_second": found["answered_a_second"],
        "overload_offered_a_second": found["asked"] / found["seconds"],
        "overload_memory_growth_bytes": side.memory_bytes() - before,
        "overload_recovered_seconds": recovered,
        "overload_refused_p95_seconds": found["refused_p95"] or 0.0,
    }


def swaps(side: Side, rate: float, seconds: float, registry: Path) -> dict[str, float]:
    """A champion that changes under load: requests that failed, and versions that answered."""
    from fettle.store.registry import Registry

    texts = str(side.texts)
    load = subprocess.Popen(
        ["taskset", "-c", str(side.cores[1]), sys.executable, str(HERE / "open_loop.py"),
         str(side.port), str(rate), str(seconds), "/predict", texts, "512"],
        stdout=subprocess.PIPE, text=True,
    )
    held, number, moves = Registry(registry), 1, 0
    end = time.monotonic() + seconds - 3
    while time.monotonic() < end:
        time.sleep(3)
        number = 3 - number
        held.move(NAME, number, seen=held.pointers(NAME)["champion"], event="promote")
        moves += 1
    found = json.loads(load.communicate()[0].strip().splitlines()[-1])
    print(f"{moves} swaps at {rate:.0f}/s: {told(found)}; answered by {found['versions']}")
    failed = sum(count for status, count in found["statuses"].items() if status != "200")
    return {"swaps": moves, "swap_failed_requests": failed,
            "swap_versions": len(found["versions"]), "swap_p95_seconds": found["p95"] or 0.0}


def prepared(data: Path, folder: Path, count: int) -> tuple[Path, Path]:
    """Two versions of fettle in a registry, and the pipeline's model; made once."""
    train = folder / "train.csv"
    with train.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["text", "label"])
        writer.writeheader()
        writer.writerows(some(rows_of(data / "banking77" / "train.csv"), count))
    for seed in (0, 1):
        quietly(
            "-c", "from fettle.cli import main; main()", "tune", train, "--name", NAME,
            "--rungs", "features", "--seed", seed, "--registry", folder / "registry",
            "--out", folder / f"run{seed}",
        )
    plain = folder / "pipeline"
    quietly(HERE / "serve_model.py", plain, CLASSES)
    return folder / "registry", plain


def quietly(*arguments: object) -> None:
    """Run Python with these; what it complained of ends the measurement."""
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])


def sides(asked: argparse.Namespace, folder: Path, registry: Path, plain: Path) -> list[Side]:
    """fettle first, then what it is compared with."""
    cores = (0, (os.cpu_count() or 1) - 1)
    if cores[0] == cores[1]:
        sys.exit("Two cores are needed: one for the server, one for the load.")
    texts = folder / "texts.json"
    fettle = [sys.executable, "-c", "from fettle.cli import main; main()", "serve", NAME,
              "--registry", str(registry), "--port", "PORT", "--poll", "1s"]
    pipeline = [sys.executable, str(HERE / "pipeline_side.py"), "PORT", str(plain)]
    found = [
        Side("fettle", fettle, cores, texts),
        Side("pipeline", [*pipeline, "1"], cores, texts),
        Side("pipeline_batched", [*pipeline, str(BATCH)], cores, texts),
    ]
    for name in asked.peers:
        peer = environment_of(name)
        if peer.python is None:
            print(f"{name} is not measured: {peer.reason}")
            continue
        command = [str(peer.python), str(HERE / f"{name}_side.py"), "PORT", str(plain), str(BATCH)]
        found.append(Side(name, command, cores, texts))
    return found


def main() -> None:
    """Every side's highest rate, then overload and swaps, then one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--limit", type=float, default=0.1, help="p95 in seconds")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each rate that is tried")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS, help="that fettle's versions learn from")
    parser.add_argument("--overload", type=float, default=60.0)
    parser.add_argument("--swap", type=float, default=30.0)
    parser.add_argument("--peers", nargs="*", default=["bentoml"])
    asked = parser.parse_args()
    data = data_folder("serve", "banking77")
    if data is None:
        return
    announce()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        texts = [row["text"] for row in rows_of(data / "banking77" / "test.csv")]
        (folder / "texts.json").write_text(json.dumps(texts))
        registry, plain = prepared(data, folder, asked.rows)
        every = sides(asked, folder, registry, plain)
        rates: dict[str, list[float]] = {side.name: [] for side in every}
        figures: dict[str, float] = {}
        for _ in range(asked.repeats):
            for side in every:
                with side.running(folder):
                    rate, found = highest(side, asked.limit, asked.seconds)
                    rates[side.name].append(rate)
                    for key in ("p50", "p95", "p99"):
                        if found.get(key):
                            figures[f"{side.name}_{key}_seconds"] = found[key]
                    if found:
                        figures[f"{side.name}_processor_ms_a_request"] = found["processor_ms"]
        for name, found_rates in rates.items():
            figures[f"{name}_requests_a_second"] = statistics.median(found_rates)
            print(f"{name:18} {statistics.median(found_rates):8.0f} requests/s with p95 within "
                  f"{asked.limit * 1000:.0f} ms   {[round(one) for one in found_rates]}")
        ours = figures["fettle_requests_a_second"]
        theirs = max(figures[f"{name}_requests_a_second"] for name in rates if name != "fettle")
        figures["throughput_ratio"] = ours / max(theirs, 1e-9)
        with every[0].running(folder) as fettle:
            figures |= swaps(fettle, ours / 2, asked.swap, registry)
            figures |= overload(fettle, 10 * ours, asked.overload)
    report("serve", figures)


if __name__ == "__main__":
    main()
