"""How much processor time passes before the first batch has gone through the network.

    .venv/bin/python bench/start.py

Runs `fettle --help` and `fettle tune` on the demo in fresh processes, five times each, and reads
the processor seconds of the process when its first batch was done. The first run calibrates the
machine and is not counted. It also lists heavy modules that were imported before that batch.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from measuring import report

REPEATS = 5
HEAVY = ("sklearn", "scipy", "transformers", "pandas", "matplotlib", "sqlalchemy")
PROBE = """
import sys, time
from fettle import cli, pipeline
from fettle.core.plan import Reading
from fettle.core.progress import Progress
from fettle.core.settings import Settings
settings = Settings(reading=Reading(data=sys.argv[1], test=sys.argv[2]), rungs=("features",),
                    out=sys.argv[3])
for event in pipeline.build(settings):
    if isinstance(event, Progress):
        loaded = [name for name in sys.argv[4].split(",") if name in sys.modules]
        print(time.process_time(), ",".join(loaded))
        break
"""


def processor_seconds(command: list[str], **kept: object) -> float:
    """User and system seconds of one child process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, **quiet, **kept)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def main() -> None:
    """Measure, print a table, then one JSON line."""
    data = Path(str(resources.files("fettle") / "data"))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    fettle = str(Path(sys.executable).with_name("fettle"))
    helps = [processor_seconds([fettle, "--help"], env=environment) for _ in range(REPEATS + 1)][1:]
    firsts: list[float] = []
    loaded = ""
    for _ in range(REPEATS + 1):
        with tempfile.TemporaryDirectory() as folder:
            found = subprocess.run(
                [sys.executable, "-c", PROBE, str(data / "messages.csv"),
                 str(data / "messages_test.csv"), f"{folder}/run", ",".join(HEAVY)],
                check=True, capture_output=True, text=True, cwd=folder, env=environment,
            ).stdout.split()
        firsts.append(float(found[0]))
        loaded = found[1] if len(found) > 1 else ""
    figures = {
        "help_cpu_seconds": statistics.median(helps),
        "first_batch_cpu_seconds": statistics.median(firsts[1:]),
        "heavy_modules_before_first_batch": len(loaded.split(",")) if loaded else 0,
    }
    for name, value in figures.items():
        print(f"{name:34} {value:.3f}")
    print("imported before the first batch:", loaded or "none of " + ", ".join(HEAVY))
    report("start", figures)


if __name__ == "__main__":
    main()
