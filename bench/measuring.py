"""What every measurement here shares: the machine's name, subprocesses, medians, the last line.

Only the standard library: a peer's environment runs this too, and it holds no fettle.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "announce", "data_folder", "last_json", "machine", "middle", "peak_bytes", "report",
    "weights_folder",
]


def machine() -> str:
    """The processor's name, its cores and the system, on one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.system()} {platform.machine()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def announce() -> None:
    """Print the machine and what it is busy with; a loaded one measures slower."""
    one, five, fifteen = os.getloadavg()
    print(f"{machine()}; load {one:.2f} {five:.2f} {fifteen:.2f} over 1, 5 and 15 minutes",
          flush=True)


def report(bench: str, figures: Mapping[str, float]) -> None:
    """Print the last line: one JSON object, its figures to six digits."""
    short = {name: float(f"{value:.6g}") for name, value in figures.items()}
    print(json.dumps({"bench": bench, "machine": machine(), "figures": short}), flush=True)


def data_folder(bench: str, *needed: str) -> Path | None:
    """The folder FETTLE_DATA, where it holds what is needed; else None, said and reported."""
    given = os.environ.get("FETTLE_DATA")
    missing = [name for name in needed if not given or not (Path(given) / name).is_dir()]
    if given and not missing:
        return Path(given)
    print(f"FETTLE_DATA names no folder with {', '.join(needed)}: not run." if given
          else "FETTLE_DATA is not set: not run.")
    report(bench, {})
    return None


def weights_folder(name: str) -> Path | None:
    """The folder of a pre-trained network in FETTLE_WEIGHTS; None where it is not there."""
    given = os.environ.get("FETTLE_WEIGHTS")
    return Path(given) / name if given and (Path(given) / name).is_dir() else None


def last_json(command: Sequence[str | Path]) -> Any:
    """What the command's last line of standard output holds.

    A program of another environment than this one's gets none of the variables that tell Python
    where this one's libraries are.

    Raises:
        SystemExit: it failed; with the end of what it complained of.
    """
    environment = dict(os.environ, HF_HUB_OFFLINE="1")
    if Path(command[0]).parent != Path(sys.executable).parent:
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
            environment.pop(name, None)
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False,
        env=environment,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = "\n".join(done.stderr.strip().splitlines()[-15:])
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{said}")
    return json.loads(lines[-1])


def middle(repeats: Sequence[Mapping[str, Any]], key: str) -> float:
    """The median of one figure over repeats."""
    return float(statistics.median(one[key] for one in repeats))


def peak_bytes() -> int:
    """Resident memory of this process at its highest, in bytes.

    Linux hands ru_maxrss on from the process that started this one, so its own high-water mark is
    read there.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
