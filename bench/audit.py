"""The audit on public text sets: what it finds of planted faults, and what it says without any.

    FETTLE_DATA=... .venv/bin/python bench/audit.py [NAME ...] [--samples FILE] [--rows 100000]

For each set: near twins by light edits (1 and 3), leaks, label spellings and wrong labels (5% and
10%, any other class or the one it is mistaken for) are planted, one kind at a time, and counted in
what the audit hands back. The ranking of wrong labels is compared with cleanlab's on the same
probabilities, where cleanlab's environment can be made (bench/peers.py). Then the faults that the
sets came with, and seconds and memory of 100,000 rows. `--samples` writes 20 flags to judge by eye.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fettle.core.audit import Audit
from fettle.core.dataset import Dataset, Schema
from fettle.core.plan import Reading
from fettle.core.progress import finish
from measuring import announce, data_folder, last_json, peak_bytes, report
from peers import environment_of
from planting import Rows, flipped, with_leaks, with_near_twins, with_variants

SETS = {
    "banking77": ("train.csv", "test.csv"),
    "sst2": ("train.csv", "test.csv"),
    "sms_spam": ("sms_spam.csv", None),
    "medical_abstracts": ("train.csv.gz", "test.csv.gz"),
}
CORPORA = (
    ("banking77", "train.csv", "text"), ("banking77", "test.csv", "text"),
    ("sst2", "train.csv", "text"), ("sst2", "validation.csv", "text"), ("sst2", "test.csv", "text"),
    ("sms_spam", "sms_spam.csv", "text"), ("multi30k_en_de", None, None),
    ("medical_abstracts", "train.csv.gz", "text"), ("sotu_party", "sotu_party.csv.gz", "text"),
)
"""Real texts for the 100,000 rows, long ones cut into sentences."""
SHARES = (0.05, 0.10)
SEEDS = (1, 2)
EDITS = (1, 3)
Embed = Callable[[Sequence[str]], np.ndarray]


def encoder() -> Embed:
    """Texts to features of the frozen default encoder, (rows, width); each text once."""
    from fettle import pipeline
    from fettle.models.cards import card_of
    from fettle.models.sources import DEFAULT_TEXT_MODEL
    from fettle.stages import auditing, encoding

    machine, card = pipeline.this_machine(), card_of(DEFAULT_TEXT_MODEL)
    known: dict[str, np.ndarray] = {}

    def embed(texts: Sequence[str]) -> np.ndarray:
        new = tuple(text for text in dict.fromkeys(texts) if text not in known)
        if new:
            given = dataset_of(Rows(new, ("",) * len(new), ("train",) * len(new)))
            work = encoding.encode(given, card, machine, most_tokens=auditing.LIMIT)
            known.update(zip(new, finish(work)[0], strict=True))
        return np.stack([known[text] for text in texts])

    return embed


def rows_of(folder: Path, name: str) -> tuple[Rows, Dataset]:
    """A set's official rows, as text and label."""
    from fettle.stages import reading

    train, test = SETS[name]
    given = Reading(data=str(folder / name / train), target="label",
                    test=str(folder / name / test) if test else None)
    dataset = reading.read(given)
    texts = tuple("\n".join(fields) for fields in dataset.fields())
    labels = tuple(label or "" for label in dataset.targets())
    return Rows(texts, labels, tuple(part or "train" for part in dataset.parts)), dataset


def dataset_of(rows: Rows) -> Dataset:
    """Rows as a Dataset with ids row:0, row:1 ..."""
    table = pa.table({"text": pa.array(rows.texts, pa.string()),
                      "label": pa.array(rows.labels, pa.string())})
    ids = tuple(f"row:{row}" for row in range(len(rows.texts)))
    return Dataset("rows", table, Schema("label", ("text",)), ids, rows.parts)


def audited(rows: Rows, features: np.ndarray | None) -> Audit:
    """The audit of these rows."""
    from fettle.stages import auditing

    return auditing.audit(dataset_of(rows), features=features)


def counted(found: set[int], planted: set[int], before: set[int]) -> dict[str, float]:
    """Recall of the planted rows, and precision of what is found beside what was found before."""
    new = found - before
    return {
        "recall": len(found & planted) / max(len(planted), 1),
        "precision": len(new & planted) / len(new) if new else 1.0,
    }


def in_twins(audit: Audit, rows: Rows) -> set[int]:
    """The planted copies that stand in a cluster with what they are copies of, and all else."""
    cluster = {row: number for number, rows in enumerate(audit.twins) for row in rows}
    partner = dict(zip(rows.planted, rows.partners, strict=True))
    found = set()
    for row, number in cluster.items():
        if row in partner:
            if cluster.get(partner[row]) == number:
                found.add(row)
        elif row not in partner.values():
            found.add(row)
    return found


def left_out(audit: Audit, check: str) -> set[int]:
    """The rows that a check leaves out of fitting."""
    return {row for out in audit.left_out if out.check == check for row in out.rows}


def rows_planted(rows: Rows, embed: Embed) -> dict[str, float]:
    """Recall and precision of near twins, leaks and label spellings; with and without features."""
    figures: dict[str, float] = {}
    for deep in (False, True):
        def look(given: Rows, deep: bool = deep) -> Audit:
            return audited(given, embed(given.texts) if deep else None)

        how = "features" if deep else "letters"
        clean = look(rows)
        before = {row for cluster in clean.twins for row in cluster}
        for edits in EDITS:
            rng = np.random.default_rng(edits)
            given = with_near_twins(rows, 0.05, rng, edits=edits)
            seen = counted(in_twins(look(given), given), set(given.planted), before)
            figures |= {f"near_{edits}_edits_{how}_{key}": value for key, value in seen.items()}
        if "test" in rows.parts:
            for edits in (0, 1):
                given = with_leaks(rows, 200, np.random.default_rng(edits), edits=edits)
                seen = counted(left_out(look(given), "leaks"), set(given.planted),
                               left_out(clean, "leaks"))
                kind = "leaks_near" if edits else "leaks_exact"
                figures |= {f"{kind}_{how}_{key}": value for key, value in seen.items()}
    given = with_variants(rows, 25, np.random.default_rng(0))
    seen = counted(left_out(audited(given, None), "variants"), set(given.planted), set())
    return figures | {f"variants_{key}": value for key, value in seen.items()}


def labels_planted(rows: Rows, features: np.ndarray, folder: Path) -> dict[str, dict[str, float]]:
    """Our figures for each planting of wrong labels, by its name; the probabilities in `folder`."""
    from sklearn.metrics import average_precision_score

    from fettle.checks.evidence import look
    from fettle.measures.label_noise import label_noise
    from fettle.stages import auditing

    learning = np.flatnonzero(np.array(rows.parts) != "test")
    groups = look(dataset_of(rows)).alike.near[learning]
    _, labels = np.unique(np.array(rows.labels)[learning], return_inverse=True)
    features = features[learning]

    def judged(given: np.ndarray, planted: np.ndarray, name: str) -> dict[str, float]:
        rng = np.random.default_rng(0)
        found = auditing.held_out(features, given, groups, rng=rng)
        np.savez(folder / f"{name}.npz", probabilities=found.astype(np.float32), labels=given,
                 planted=planted)
        noise = label_noise(found, given)
        listed = noise.suspects
        sure = np.flatnonzero(noise.wrong >= 0.5)
        return {
            "planted": int(planted.sum()),
            "estimated": noise.rate * len(given), "low": noise.low * len(given),
            "high": noise.high * len(given),
            "listed": len(listed), "right": int(planted[listed].sum()),
            "false_expected": noise.false_flags,
            "proposed": len(sure), "proposed_right": int(planted[sure].sum()),
            "average_precision": float(average_precision_score(planted, -noise.own))
            if planted.any() else 0.0,
        }

    none = np.zeros(len(labels), dtype=bool)
    cases = {"clean": judged(labels, none, "clean")}
    mistaken = np.load(folder / "clean.npz")["probabilities"]
    classes = range(int(labels.max()) + 1)
    towards = np.stack([mistaken[labels == label].mean(axis=0) for label in classes])
    for share in SHARES:
        for seed in SEEDS:
            for kind, weights in (("any", None), ("mistaken", towards)):
                rng = np.random.default_rng(seed)
                wrong, at = flipped(labels, share, rng, towards=weights)
                name = f"{kind}_{round(share * 100)}_seed{seed}"
                cases[name] = judged(wrong, np.isin(np.arange(len(labels)), at), name)
    return cases


def against_cleanlab(folder: Path) -> dict[str, Any] | None:
    """cleanlab's figures on the same probabilities, by the same names; None where it is not."""
    peer = environment_of("cleanlab")
    if peer.python is None:
        print(f"cleanlab is not compared with: {peer.reason}")
        return None
    return last_json([peer.python, Path(__file__).with_name("cleanlab_side.py"), folder])


def told(cases: dict[str, dict[str, float]], theirs: dict[str, Any] | None) -> list[float]:
    """Print every planting of wrong labels; the ratios of average precision to cleanlab's."""
    ratios = []
    for name, ours in cases.items():
        line = (
            f"  labels {name:18} planted {ours['planted']:4.0f}, estimated "
            f"{ours['estimated']:5.0f} ({ours['low']:.0f} to {ours['high']:.0f}); listed "
            f"{ours['listed']:4.0f}, right {ours['right']:4.0f} "
            f"(false expected {ours['false_expected']:.0f}); proposed "
            f"{ours['proposed']:4.0f}, right {ours['proposed_right']:4.0f}"
        )
        if theirs is not None:
            other = theirs[name]
            line += f"; cleanlab lists {other['listed']}, right {other['right']}"
            if ours["planted"]:
                default = other["average_precision"]["self_confidence"]
                ratios.append(ours["average_precision"] / default)
                best = max(other["average_precision"].values())
                line += (
                    f"; average precision {ours['average_precision']:.3f} against {default:.3f} "
                    f"(its best score {best:.3f})"
                )
        print(line, flush=True)
    return ratios


def own_faults(name: str, rows: Rows, dataset: Dataset, features: np.ndarray) -> dict[str, float]:
    """What the audit says of the rows as they were published: printed, and the known faults."""
    from fettle.stages import auditing

    audit = auditing.audit(dataset, features=features)
    for finding in audit.findings:
        print(f"  as published, {finding.severity} {finding.check}: {finding.sentence}"[:300])
    same = _normal(rows.texts)
    learned = {same[row] for row, part in enumerate(rows.parts) if part != "test"}
    tests = [row for row, part in enumerate(rows.parts) if part == "test" and same[row] in learned]
    return {
        "test_rows_also_in_train": len(tests),
        "rows_that_repeat_to_the_letter": len(rows.texts) - len(set(rows.texts)),
        "findings": len(audit.findings),
        "label_errors_flagged": sum(f.count for f in audit.findings if f.check == "label_errors"),
        "near_clusters": len(audit.near),
    }


def _normal(texts: Sequence[str]) -> list[str]:
    from fettle.checks.evidence import same_text

    return [same_text(text) for text in texts]


def samples(name: str, rows: Rows, audit: Audit, rng: np.random.Generator, most: int) -> list[str]:
    """Flags of a set without planted faults, for a person to judge."""
    lines = [
        f"{name} label: {rows.texts[one.row]!r} is {rows.labels[one.row]!r}, proposed {one.new!r}"
        for one in audit.proposals if one.check == "label_errors"
    ]
    pairs = [(a, b) for cluster in audit.near for a, b in pairwise(cluster)
             if rows.texts[a] != rows.texts[b]]
    lines += [
        f"{name} near: {rows.texts[a]!r} ({rows.labels[a]}, {rows.parts[a]}) and "
        f"{rows.texts[b]!r} ({rows.labels[b]}, {rows.parts[b]})"
        for a, b in pairs
    ]
    chosen = np.sort(rng.choice(len(lines), min(most, len(lines)), replace=False))
    return [lines[at] for at in chosen]


def real_texts(folder: Path, rows: int) -> Rows:
    """So many real texts, their label the set that they are from."""
    from fettle.formats import TEXT_FORMATS
    from fettle.formats.files import rows_of_file

    texts: list[str] = []
    labels: list[str] = []
    for name, file, column in CORPORA:
        paths = [folder / name / file] if file else sorted((folder / name).glob("*.csv*"))
        for path in paths:
            table = rows_of_file(path, formats=TEXT_FORMATS).table
            names = [column] if column else [n for n in table.column_names if n != "id"]
            for cells in (table.column(one).to_pylist() for one in names):
                for cell in cells:
                    pieces = (cell or "").split(". ") if len(cell or "") > 400 else [cell or ""]
                    texts += pieces
                    labels += [name] * len(pieces)
    if len(texts) < rows:
        sys.exit(f"Only {len(texts):,} texts are there, and {rows:,} are wanted.")
    chosen = np.sort(np.random.default_rng(0).choice(len(texts), rows, replace=False))
    parts = tuple("test" if number % 10 == 0 else "train" for number in range(rows))
    return Rows(tuple(texts[at] for at in chosen), tuple(labels[at] for at in chosen), parts)


def many(folder: Path, rows: int) -> dict[str, float]:
    """Seconds and memory of an audit of so many real texts; run in a process of its own."""
    from fettle.stages import auditing

    dataset = dataset_of(real_texts(folder, rows))
    start, memory = time.perf_counter(), peak_bytes()
    audit = auditing.audit(dataset)
    seconds = time.perf_counter() - start
    rows_alone = {"seconds": seconds, "peak_bytes": peak_bytes(), "bytes_before": memory,
                  "twins": len(audit.twins)}
    rng = np.random.default_rng(0)
    _, labels = np.unique(np.array(dataset.targets(), dtype=str), return_inverse=True)
    features = rng.normal(size=(rows, 384)).astype(np.float32)
    features[:, :16] += 3 * rng.normal(size=(labels.max() + 1, 16))[labels]
    start = time.perf_counter()
    auditing.audit(dataset, features=features)
    return rows_alone | {"deep_seconds": time.perf_counter() - start,
                         "deep_peak_bytes": peak_bytes()}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(SETS))
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only-many", action="store_true", help="only the many rows, as JSON")
    return parser.parse_args()


def main() -> None:
    """Each set in turn, then the many rows, then one JSON line."""
    asked = arguments()
    folder = data_folder("audit", *asked.names)
    if folder is None:
        return
    if asked.only_many:
        print(json.dumps(many(folder, asked.rows)))
        return
    announce()
    embed = encoder()
    figures: dict[str, float] = {}
    ratios: list[float] = []
    shown: list[str] = []
    for name in asked.names:
        print(name, flush=True)
        rows, dataset = rows_of(folder, name)
        features = embed(rows.texts)
        found = own_faults(name, rows, dataset, features)
        shown += samples(name, rows, audited(rows, features), np.random.default_rng(0), 20)
        with tempfile.TemporaryDirectory() as held:
            cases = labels_planted(rows, features, Path(held))
            theirs = against_cleanlab(Path(held))
        ratios += told(cases, theirs)
        for case, ours in cases.items():
            found |= {f"labels_{case}_{key}": value for key, value in ours.items()}
            if theirs is not None:
                found[f"labels_{case}_cleanlab_listed"] = theirs[case]["listed"]
                found[f"labels_{case}_cleanlab_right"] = theirs[case]["right"]
        planted = rows_planted(rows, embed)
        for key, value in planted.items():
            print(f"  {key:40} {value:.3f}", flush=True)
        figures |= {f"{name}_{key}": value for key, value in (found | planted).items()}
    if ratios:
        figures["label_error_ap_ratio"] = float(np.mean(ratios))
        figures["label_error_ap_ratio_lowest"] = min(ratios)
    if asked.rows:
        figures |= {
            f"rows_{asked.rows}_{key}": value
            for key, value in last_json(
                [sys.executable, __file__, "--only-many", "--rows", str(asked.rows)]
            ).items()
        }
    if asked.samples:
        order = np.random.default_rng(1).permutation(len(shown))[:20]
        asked.samples.write_text("\n".join(shown[at] for at in order) + "\n", encoding="utf-8")
    report("audit", figures)


if __name__ == "__main__":
    main()
