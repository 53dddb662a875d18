"""The story on public text sets, no setting but the files: test accuracy against both baselines.

    FETTLE_DATA=... .venv/bin/python bench/text_sets.py [NAME ...]

Runs `fettle tune` on banking77, sst2, sms_spam and medical_abstracts (or those named) and prints,
for each, the kept model, the better of majority class and TF-IDF + logistic regression on the same
learning rows, and the paired difference with its 95% interval; then seconds and memory by rung.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETS = {
    "banking77": ("train.csv", "test.csv"),
    "sst2": ("train.csv", "test.csv"),
    "sms_spam": ("sms_spam.csv", None),
    "medical_abstracts": ("train.csv.gz", "test.csv.gz"),
}
BASELINES = ("majority", "tfidf")


def tuned(folder: Path, train: str, test: str | None, out: Path) -> tuple[dict, dict, float]:
    """The command's result, its evaluation, and its seconds from start to end."""
    command = [str(Path(sys.executable).with_name("fettle")), "tune", str(folder / train),
               "--target", "label", "--json", "--out", str(out / "run"),
               "--registry", str(out / "registry")]
    if test is not None:
        command += ["--test", str(folder / test)]
    begun = time.perf_counter()
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = time.perf_counter() - begun
    evaluation = json.loads((out / "run" / "evaluation.json").read_text(encoding="utf-8"))
    return json.loads(printed), evaluation, seconds


def main() -> None:
    """Each set in turn, then one JSON line."""
    data = os.environ.get("FETTLE_DATA")
    figures: dict[str, float] = {}
    if not data:
        print("FETTLE_DATA is not set: not run.")
    for name in (sys.argv[1:] or SETS) if data else ():
        with tempfile.TemporaryDirectory() as out:
            result, evaluation, seconds = tuned(Path(data) / name, *SETS[name], Path(out))
        score = result["test"][0]
        others = [c for c in evaluation["contenders"] if c["name"] in BASELINES]
        best = max(others, key=lambda one: one["scores"][0]["value"])
        paired = best["versus_kept"]
        print(f"{name}: {result['rung']} {score['value']:.4f} [{score['low']:.4f}, "
              f"{score['high']:.4f}] on {score['rows']:,} rows in {seconds:.0f} s; "
              f"{best['name']} {best['scores'][0]['value']:.4f}; difference "
              f"{paired['difference']:+.4f} [{paired['low']:+.4f}, {paired['high']:+.4f}]")
        for rung in result["rungs"]:
            value = next(c for c in evaluation["contenders"] if c["name"] == rung["name"])
            print(f"    {rung['name']:10} test {value['scores'][0]['value']:.4f}, validation "
                  f"{rung['validation']['value']:.4f}, {rung['seconds']:.1f} s, "
                  f"{rung['peak_bytes'] / 2**20:.0f} MiB")
            figures[f"{name}_{rung['name']}_seconds"] = rung["seconds"]
        figures[f"{name}_accuracy"] = score["value"]
        figures[f"{name}_baseline"] = best["scores"][0]["value"]
        figures[f"{name}_difference_low"] = paired["low"]
        figures[f"{name}_difference_high"] = paired["high"]
        figures[f"{name}_seconds"] = seconds
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps({"bench": "text_sets", "machine": machine, "figures": figures}))


if __name__ == "__main__":
    main()
