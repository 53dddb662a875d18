"""The story on public text sets, no setting but the files: test accuracy against both baselines.

    FETTLE_DATA=... .venv/bin/python bench/text_sets.py [NAME ...]

Runs `fettle tune` on banking77, sst2, sms_spam and medical_abstracts (or those named) and prints,
for each, the kept model, the better of majority class and TF-IDF + logistic regression on the same
learning rows, and the paired difference with its 95% interval; then seconds and memory by rung.
"""

import sys
import tempfile
from pathlib import Path

from measuring import data_folder, report
from sets import SETS, tuned

NAMES = ("banking77", "sst2", "sms_spam", "medical_abstracts")
BASELINES = ("majority", "tfidf")


def main() -> None:
    """Each set in turn, then one JSON line."""
    names = sys.argv[1:] or NAMES
    if not {*names} <= {*SETS}:
        sys.exit(f"The sets are {', '.join(SETS)}.")
    data = data_folder("text_sets", *names)
    if data is None:
        return
    figures: dict[str, float] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as out:
            done = tuned(data, name, Path(out) / "run")
        result, score, seconds = done.result, done.result["test"][0], done.seconds
        others = [one for one in done.evaluation["contenders"] if one["name"] in BASELINES]
        best = max(others, key=lambda one: one["scores"][0]["value"])
        paired = best["versus_kept"]
        print(f"{name}: {result['rung']} {score['value']:.4f} [{score['low']:.4f}, "
              f"{score['high']:.4f}] on {score['rows']:,} rows in {seconds:.0f} s; "
              f"{best['name']} {best['scores'][0]['value']:.4f}; difference "
              f"{paired['difference']:+.4f} [{paired['low']:+.4f}, {paired['high']:+.4f}]")
        for rung in result["rungs"]:
            scores = done.contender(rung["name"])["scores"]
            print(f"    {rung['name']:10} test {scores[0]['value']:.4f}, validation "
                  f"{rung['validation']['value']:.4f}, {rung['seconds']:.1f} s, "
                  f"{rung['peak_bytes'] / 2**20:.0f} MiB")
            figures[f"{name}_{rung['name']}_seconds"] = rung["seconds"]
        figures[f"{name}_accuracy"] = score["value"]
        figures[f"{name}_baseline"] = best["scores"][0]["value"]
        figures[f"{name}_difference_low"] = paired["low"]
        figures[f"{name}_difference_high"] = paired["high"]
        figures[f"{name}_seconds"] = seconds
    report("text_sets", figures)


if __name__ == "__main__":
    main()
