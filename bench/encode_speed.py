"""fettle's feature pass against sentence-transformers' `encode` as it comes, over 10,000 sentences.

    FETTLE_DATA=... .venv/bin/python bench/encode_speed.py [--sentences 10000] [--repeats 3]

The same folder of the default encoder on both sides, the sentences of sst2's and banking77's
training files in a fixed random order. Each side runs in a process of its own, in turn; opening the
network is off the clock and so is one small call before it, tokenising is on it.

speedup_encode: sentence-transformers' median seconds over fettle's. cosine_min: the lowest cosine
between the two sides' vectors (mean over tokens, brought to length 1) of one sentence.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import jobs
from jobs import Encoding
from measuring import announce, data_folder, last_json, middle, report
from peers import environment_of
from sets import model_folder, rows_of, some

HERE = Path(__file__).resolve().parent
PEER = "sentence_transformers"
NEEDED = ("sst2", "banking77")


def sentences(data: Path, count: int) -> tuple[str, ...]:
    """The sentences, shuffled; no more than the sets have."""
    rows = [row for name in NEEDED for row in rows_of(data / name / "train.csv")]
    return tuple(row["text"] for row in some(rows, count))


def lowest_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Of the cosines between the rows of two arrays, (rows, width) each, the lowest."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / lengths).min())


def commands(folder: Path, texts: tuple[str, ...]) -> dict[str, list[str | Path]]:
    """Each side that can be run, and its command; it leaves its vectors in SIDE.npy."""
    def job(side: str) -> Path:
        vectors = str(folder / f"{side}.npy")
        made = Encoding(model=model_folder(), texts=texts, vectors=vectors)
        return jobs.save(folder / f"{side}.json", made)

    found: dict[str, list[str | Path]] = {
        "fettle": [sys.executable, HERE / "fettle_side.py", "encode", job("fettle")],
    }
    peer = environment_of(PEER)
    if peer.python is None:
        print(f"{PEER}: not run: {peer.reason}")
    else:
        found[PEER] = [peer.python, HERE / "sentences_side.py", job(PEER)]
    return found


def main() -> None:
    """Both sides in turn, then one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    if min(asked.sentences, asked.repeats) < 1:
        parser.error("--sentences and --repeats are 1 or more")
    data = data_folder("encode_speed", *NEEDED)
    if data is None:
        return
    announce()
    texts = sentences(data, asked.sentences)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sides = commands(folder, texts)
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for _ in range(asked.repeats):
            for side, command in sides.items():
                one = last_json(command)
                found[side].append(one)
                print(f"{side}: {len(texts) / one['seconds']:,.0f} sentences/s, "
                      f"{one['peak_bytes'] / 2**20:,.0f} MiB, {one['precision']}, "
                      f"{one['threads']} threads, {one['versions']}", flush=True)
        vectors = [np.load(folder / f"{side}.npy") for side in sides]
    seconds = {side: middle(ones, "seconds") for side, ones in found.items()}
    figures = {f"{side}_sentences_per_second": len(texts) / one for side, one in seconds.items()}
    if PEER in sides:
        figures["speedup_encode"] = seconds[PEER] / seconds["fettle"]
        figures["cosine_min"] = lowest_cosine(*vectors)
    for name, value in figures.items():
        print(f"{name:40} {value:.5g}")
    announce()
    report("encode_speed", figures)


if __name__ == "__main__":
    main()
