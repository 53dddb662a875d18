"""`fettle serve` against a transformers pipeline behind the same server, under fixed arrival rates.

    FETTLE_DATA=... .venv/bin/python bench/serve.py [PART ...] [--sides fettle pipeline ...]
        [--seconds 10] [--repeats 3] [--overload 60] [--kept figures.json]

The server runs on one core, the load on another (taskset). One text of banking77's test file a
request, open loop (bench/open_loop.py). Part `rates`: for each side the highest rate whose 95th
percentile stays within --limit (100 ms) with no request failed, found by doubling and halving, the
median of --repeats searches in turn. Then fettle alone: `overload`, ten times that rate for so many
seconds (status codes, memory at its highest, how soon what was asked last is answered), and
`swaps`, a champion that is swapped every few seconds under half the rate. A search of one side
takes some three minutes; parts and sides can be measured one by one, and what is found stays in
the file --kept, by which the next part knows fettle's rate. The pipeline's network is the same
encoder with a head of as many classes whose weights are random: it does the same work, and its
answers are not looked at.
"""

import argparse
import csv
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
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
PARTS = ("rates", "swaps", "overload")
SIDES = ("fettle", "pipeline", "pipeline_batched", "bentoml")
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


    @contextmanager
    def highest_memory(self) -> Iterator[list[int]]:
        """Resident memory, looked at ten times a second meanwhile; a list of what it was."""
        seen, ended = [self.memory_bytes()], threading.Event()

        def look() -> None:
            while not ended.wait(0.1):
                seen.append(self.memory_bytes())

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        try:
            yield seen
        finally:
            ended.set()
            looking.join()


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


def overload(side: Side, sustained: float, seconds: float) -> dict[str, float]:
    """Ten times more than it can do: what it says, what it takes, and how soon it is free again."""
    side.load(sustained, min(seconds, 5.0))  # what full batches take is no growth
    with side.highest_memory() as memory:
        found = side.load(10 * sustained, seconds)
    begun = time.monotonic()
    while not side.answers() and time.monotonic() - begun < 60:
        pass
    recovered = found["drained_seconds"] + time.monotonic() - begun
    statuses = found["statuses"]
    offered = found["asked"] / (found["seconds"] - found["drained_seconds"])
    print(f"overload {offered:.0f}/s for {seconds:.0f} s, {offered / sustained:.1f} times what it "
          f"holds: {told(found)}; refused p95 {(found['refused_p95'] or 0) * 1000:.0f} ms; "
          f"free again after {recovered:.2f} s")
    return {
        "overload_times": offered / sustained,
        "overload_hung": statuses.get("-1", 0) + statuses.get("-2", 0),
        "overload_answered_a_second": found["answered_a_second"],
        "overload_offered_a_second": offered,
        "overload_p95_seconds": found["p95"] or 0.0,
        "overload_refused_p95_seconds": found["refused_p95"] or 0.0,
        "overload_memory_growth_bytes": max(memory) - memory[0],
        "overload_recovered_seconds": recovered,
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


def prepared(data: Path, folder: Path, count: int, versions: int) -> tuple[Path, Path]:
    """So many versions of fettle in a registry, and the pipeline's model; made once."""
    train = folder / "train.csv"
    with train.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["text", "label"])
        writer.writeheader()
        writer.writerows(some(rows_of(data / "banking77" / "train.csv"), count))
    for seed in range(versions):
        quietly(
            "-c", "from fettle.cli import main; main()", "tune", train, "--name", NAME,
            "--rungs", "features", "--seed", seed, "--registry", folder / "registry",
            "--out", folder / f"run{seed}", "--allow", "small_classes",
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
    """Those that were asked for, fettle first."""
    cores = (0, (os.cpu_count() or 1) - 1)
    if cores[0] == cores[1]:
        sys.exit("Two cores are needed: one for the server, one for the load.")
    texts = folder / "texts.json"
    fettle = [sys.executable, "-c", "from fettle.cli import main; main()", "serve", NAME,
              "--registry", str(registry), "--port", "PORT", "--poll", "1s"]
    pipeline = [sys.executable, str(HERE / "pipeline_side.py"), "PORT", str(plain)]
    commands = {"fettle": fettle, "pipeline": [*pipeline, "1"],
                "pipeline_batched": [*pipeline, str(BATCH)]}
    for name in set(asked.sides) - set(commands):
        peer = environment_of(name)
        if peer.python is None:
            print(f"{name} is not measured: {peer.reason}")
            continue
        commands[name] = [str(peer.python), str(HERE / f"{name}_side.py"), "PORT", str(plain),
                          str(BATCH)]
    wanted = {"fettle", *asked.sides} if set(asked.parts) - {"rates"} else set(asked.sides)
    return [Side(name, command, cores, texts) for name, command in commands.items()
            if name in wanted]


def rates(
    every: list[Side], folder: Path, limit: float, seconds: float, repeats: int
) -> dict[str, float]:
    """The highest rate of each side that holds, the median of so many searches; and what was found
    at that rate."""
    searches: dict[str, list[tuple[float, dict[str, Any]]]] = {side.name: [] for side in every}
    for _ in range(repeats):
        for side in every:
            with side.running(folder):
                searches[side.name].append(highest(side, limit, seconds))
    figures: dict[str, float] = {}
    for name, found in searches.items():
        found.sort(key=lambda one: one[0])
        rate, at = found[(len(found) - 1) // 2]
        figures[f"{name}_requests_a_second"] = rate
        if at:
            figures |= {f"{name}_{key}_seconds": at[key] for key in ("p50", "p95", "p99")}
            figures[f"{name}_processor_ms_a_request"] = at["processor_ms"]
        print(f"{name:18} {rate:8.0f} requests/s with p95 within {limit * 1000:.0f} ms   "
              f"{[round(one) for one, _ in found]}", flush=True)
    return figures


def compared(figures: dict[str, float]) -> dict[str, float]:
    """How many times the best of the others fettle holds; nothing where one side is not there."""
    others = [figures[key] for name in SIDES[1:]
              if (key := f"{name}_requests_a_second") in figures]
    ours = figures.get("fettle_requests_a_second")
    return {"throughput_ratio": ours / max(others)} if ours and others and max(others) else {}


def asked_for() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; all if not given")
    parser.add_argument("--sides", nargs="*", default=list(SIDES), choices=SIDES)
    parser.add_argument("--kept", type=Path, help="figures of earlier parts, and those of this one")
    parser.add_argument("--limit", type=float, default=0.1, help="p95 in seconds")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each rate that is tried")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=ROWS, help="that fettle's versions learn from")
    parser.add_argument("--overload", type=float, default=60.0, help="seconds")
    parser.add_argument("--swap", type=float, default=30.0, help="seconds")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}: {', '.join(PARTS)}")
    asked.parts = asked.parts or list(PARTS)
    return asked


def main() -> None:
    """The parts that were asked for, each kept as soon as it is done, then one JSON line."""
    asked = asked_for()
    data = data_folder("serve", "banking77")
    if data is None:
        return
    announce()
    figures: dict[str, float] = {}
    if asked.kept is not None and asked.kept.is_file():
        figures = json.loads(asked.kept.read_text())
    rate = "fettle_requests_a_second"
    if set(asked.parts) - {"rates"} and rate not in figures and (
            "rates" not in asked.parts or "fettle" not in asked.sides):
        sys.exit("swaps and overload need fettle's rate: measure rates with the side fettle first, "
                 "with the same file --kept.")

    def keep(found: dict[str, float]) -> None:
        figures.update(found)
        figures.update(compared(figures))
        if asked.kept is not None:
            asked.kept.write_text(json.dumps(figures, indent=1))

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        texts = [row["text"] for row in rows_of(data / "banking77" / "test.csv")]
        (folder / "texts.json").write_text(json.dumps(texts))
        versions = 2 if "swaps" in asked.parts else int(
            "fettle" in asked.sides or "overload" in asked.parts)
        registry, plain = prepared(data, folder, asked.rows, versions)
        every = sides(asked, folder, registry, plain)
        if "rates" in asked.parts:
            measured = [side for side in every if side.name in asked.sides]
            keep(rates(measured, folder, asked.limit, asked.seconds, asked.repeats))
        for part in PARTS[1:]:
            if part in asked.parts and not figures[rate]:
                print(f"{part} is not measured: fettle held no rate within --limit")
            elif part in asked.parts:
                with every[0].running(folder) as fettle:
                    keep(swaps(fettle, figures[rate] / 2, asked.swap, registry)
                         if part == "swaps" else overload(fettle, figures[rate], asked.overload))
    report("serve", figures)


if __name__ == "__main__":
    main()
