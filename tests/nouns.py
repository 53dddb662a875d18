"""Believable nouns for the pages' tests: no model was trained, and every number is made up."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa

from fettle.core.audit import Audit, Finding, LeftOut, NearTwins, Severity
from fettle.core.dataset import Dataset, Refused, Schema
from fettle.core.evaluation import (
    Abstention,
    Bin,
    BlockUse,
    Calibration,
    ClassScores,
    Contender,
    Coverage,
    CurvePoint,
    Evaluation,
    Fitting,
    Forecast,
    Forgetting,
    Latency,
    LearningCurve,
    LookAt,
    Reliability,
    Retention,
    Slice,
    Threshold,
)
from fettle.core.plan import Cost, Machine, Plan, Reading, Rung
from fettle.core.run import Epoch, Run, RungResult
from fettle.core.score import Comparison, Score
from fettle.core.split import Split, Vault
from fettle.measures.spending import spending
from fettle.pages.blocks import Story

MACHINE = Machine("a processor", 8, 2**35, None, True, 1.2e11, 2.4e11)

SECRET = "the customer's own words, which no page may hold"
"""The text of every row."""

TICKETS = ("billing", "cancellation", "delivery", "login", "refund", "technical fault")

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{7*7}}",
    r"$\frac{",
    "\u202eevil\u202c עברית 🙂👩‍👩‍👧",
    "long " + "x" * 300,
    '"><svg/onload=alert(1)>',
    "`| [a](javascript:alert(1)) --- # \x00\x0b\ufffe",
)


def many(classes: int = 77) -> tuple[str, ...]:
    """As many labels as asked for, in the manner of a bank's customers."""
    verbs = ("activate", "cancel", "change", "compare", "dispute", "find", "lost", "top_up",
             "unblock", "verify", "wrong")
    things = ("card", "cash_withdrawal", "direct_debit_payment", "exchange_rate", "identity",
              "pin", "transfer")
    return tuple(sorted(f"{verb}_{thing}" for verb in verbs for thing in things))[:classes]


def score(name: str, value: float, rows: int) -> Score:
    """A score with its Wilson interval."""
    z, value = 1.96, min(max(value, 0.0), 1.0)
    middle = (value + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(value * (1 - value) / rows + z * z / (4 * rows**2))
    return Score(name, value, max(middle - half, 0.0), min(middle + half, 1.0), rows)


def versus(name: str, gain: float, rows: int, kept: str) -> Comparison:
    """The kept model against this one."""
    losses = round(0.02 * rows)
    wins = max(losses + round(gain * rows), 0)
    half = 1.96 * math.sqrt(wins + losses) / rows
    p = 0.00004 if abs(gain) > half else 0.412
    return Comparison(name, kept, "accuracy", gain, gain - half, gain + half, wins, losses, p, rows)


def contender(
    name: str, kind: str, value: float, rows: int, kept: float, *, note: str = "",
    winner: str = "full",
) -> Contender:
    """Anything that was scored."""
    scores = tuple(
        score(measure, value - less, rows)
        for measure, less in (("accuracy", 0.0), ("macro_precision", 0.012),
                              ("macro_recall", 0.021), ("macro_f1", 0.019))
    )
    paired = None if name == winner else versus(name, kept - value, rows, winner)
    return Contender(name, kind, scores, paired, note)


def evaluation_of(labels: tuple[str, ...], rows: int) -> Evaluation:
    """Before, baselines and rungs, with a confusion matrix that adds up."""
    rng = np.random.default_rng(7)
    classes = len(labels)
    weights = rng.dirichlet(np.full(classes, 8.0))
    confusion = np.zeros((classes, classes), dtype=int)
    for true in range(classes):
        there = max(round(rows * weights[true]), 3)
        mistaken = rng.dirichlet(np.full(classes, 0.15))
        shares = mistaken * rng.uniform(0.03, 0.3)
        shares[true] += 1 - shares.sum()
        confusion[true] = rng.multinomial(there, shares)
    rows = int(confusion.sum())
    value = float(np.trace(confusion) / rows)
    per_class = []
    for number, label in enumerate(labels):
        there, said = confusion[number].sum(), max(confusion[:, number].sum(), 1)
        precision, recall = confusion[number, number] / said, confusion[number, number] / there
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        there = int(there)
        per_class.append(ClassScores(label, there, score("precision", precision, there),
                                     score("recall", recall, there), score("f1", f1, there)))
    contenders = (
        contender("zero_shot", "before", value - 0.24, rows, value),
        contender("nearest_mean", "before", value - 0.138, rows, value,
                  note="uses training labels"),
        contender("majority", "baseline", 0.21 if classes < 20 else 0.03, rows, value),
        contender("tfidf", "baseline", value - 0.061, rows, value),
        contender("features", "rung", value - 0.022, rows, value),
        contender("top", "rung", value - 0.006, rows, value),
        contender("full", "rung", value, rows, value),
    )
    return Evaluation(
        "7be1" * 16, rows, 1, "accuracy", "full", "nearest_mean", contenders, tuple(per_class),
        labels, tuple(tuple(int(cell) for cell in line) for line in confusion),
        (Latency(1, 0.0068, 0.0093, 200), Latency(32, 0.0712, 0.0884, 50)), 0.0214,
        ("Zero-shot compares a text with the names of the classes.",),
    )


def examined(made: Evaluation, *, word: str = "") -> Evaluation:
    """With all that is known beyond scores; `word` stands wherever a user's word would."""
    rows = made.rows

    def reliability(gap: float) -> Reliability:
        bins = tuple(
            Bin(rows // 10, at / 10 + 0.04, at / 10 + 0.04 - gap, at / 10 - 0.01, at / 10 + 0.09)
            for at in range(10)
        )
        return Reliability(score("nll", 0.31, rows), score("brier", 0.2, rows),
                           score("calibration_error", gap, rows), gap, 0.05, bins)

    curve = tuple(Coverage(1 - at / 20, at / 20, score("accuracy", 1 - at / 200, rows * at // 20))
                  for at in range(1, 21))
    thresholds = (
        Threshold(0.9, 0.62, score("coverage", 0.81, rows), score("accuracy", 0.93, rows)),
        Threshold(0.95, 0.88, score("coverage", 0.5, rows), score("accuracy", 0.86, rows // 2)),
        Threshold(0.99, None),
    )
    slices = (
        Slice(word or "country", word or "Iceland", score("accuracy", 0.61, 80), 0.001,
              Comparison("nearest_mean", "full", "accuracy", -0.2, -0.3, -0.1, 2, 18, 0.001, 80),
              0.004, True),
        Slice("length", "up to 8 words", score("accuracy", 0.9, 300), 0.4, None, None, False),
    )
    points = tuple(CurvePoint(rows * 2**at, score("accuracy", 0.6 + at / 12, rows))
                   for at in range(4))
    change = Comparison("base", "tuned", "accuracy", -0.1, -0.15, -0.05, 10, 70, 0.0001, 600)
    names = ("embeddings", *(f"block {at}" for at in range(1, 7)), "head")
    return replace(
        made,
        rows_to_tell=1460,
        calibration=Calibration(1.45, 1210, "validation", reliability(0.12), reliability(0.02)),
        abstention=Abstention(curve, score("area_under_risk_coverage", 0.02, rows), 0.01,
                              thresholds),
        slices=slices,
        curve=LearningCurve(points, (0.02, 2.0, 0.5), (Forecast(400, 0.012, 0.003, 0.02),),
                            word or "A power law."),
        fitting=Fitting(score("accuracy", 0.99, 500), score("accuracy", 0.83, rows),
                        score("ceiling", 0.97, 60), 4, "It ran all 6 planned epochs.", "overfits",
                        (word or "It is right on 99% of its rows.",)),
        forgetting=Forgetting(
            (Retention(word or "reviews", 600, score("accuracy", 0.8, 600),
                       score("accuracy", 0.7, 600), change, 0.71),),
            0.76, change, (word or "Against tickets@1, 70 rows flipped.",)),
        blocks=tuple(BlockUse(name, 1_774_464, 0 if at < 3 else 1_774_464, 0.0 if at < 3 else 1e-4,
                              0.0 if at < 3 else 1e-4, None if name == "head" else 0.01)
                     for at, name in enumerate(names)),
        look_at=tuple(LookAt(word or f"t.csv:{at}", why, word or "refund", word or "billing", 0.93)
                      for at, why in enumerate(("wrong and sure", "suspected label"))),
    )


def run_of(folder: str = ".fettle/runs/tickets-1f") -> Run:
    """Three rungs, the dearest kept."""
    history = tuple(
        Epoch(number, 1.62 * 0.52**number + 0.05, 1.5 * 0.6**number + 0.22 + 0.012 * number,
              0.93 - 0.2 * 0.45**number - 0.002 * number, 31.4)
        for number in range(1, 7)
    )
    return Run("1f" * 6, folder, (
        RungResult("features", "rungs/features", score("accuracy", 0.882, 1210), 18.4,
                   912_000_000, (), {"pooling": "mean", "l2": 0.0316},
                   tuple({"pooling": pooling, "l2": l2, "accuracy": 0.86 + 0.2 * l2}
                         for pooling in ("mean", "cls") for l2 in (0.001, 0.0316, 0.1))),
        RungResult("top", "rungs/top", score("accuracy", 0.897, 1210), 61.9, 1_340_000_000,
                   history[:4], {"epoch": 3}, (), ("The last two blocks, replayed.",)),
        RungResult("full", "rungs/full", score("accuracy", 0.918, 1210), 264.0, 2_480_000_000,
                   history, {"epoch": 4, "rate": 1.2e-4}, flops=3.2e13, training_seconds=240.0,
                   range_test=tuple((10 ** (-6 + step / 10), 1.6 - 0.02 * step + 1e-5 * step**3)
                                    for step in range(40))),
    ), "full", "full was kept: its paired mean loss on the validation rows is lower than every "
               "cheaper rung's by more than one paired standard error.", 3.1)


def story(labels: tuple[str, ...] = TICKETS, *, rows: int = 9684, name: str = "tickets") -> Story:
    """A whole run, from rows to evaluation."""
    file = f"{name}.csv"
    table = pa.table({
        "subject": pa.array([SECRET] * rows), "body": pa.array([SECRET] * rows),
        "customer_id": pa.array(["17"] * rows),
        "label": pa.array([labels[row % len(labels)] for row in range(rows)]),
    })
    dataset = Dataset(
        file, table,
        Schema("label", ("subject", "body"), ("customer_id",), (
            "The target is label: the only column with few distinct values, and so named.",
            "The inputs are all text columns in file order.")),
        tuple(f"{file}:{row + 2}" for row in range(rows)), ("",) * rows,
        (Refused(f"{file}:411", "The record has 5 cells, the header 4."),),
    )
    test = rows // 8
    train, validation = range(rows - 2 * test), range(rows - 2 * test, rows - test)
    left_out = (LeftOut("twins", "a twin of each stands among the test rows.", tuple(range(9))),)
    audit = Audit("c0ffee" * 10 + "abcd", (
        Finding("label_spelling", Severity.WARN, 14, tuple(f"{file}:{n}" for n in range(90, 104)),
                "14 rows are labelled 'Refund ' or 'refunds', which look like 'refund'.",
                "They were read as 'refund'; mend the file, or give --keep-labels."),
        Finding("mislabelled", Severity.WARN, 212, tuple(f"{file}:{n}" for n in range(900, 1000)),
                "212 rows look mislabelled: out of fold, the model is sure of another label.",
                "Look at the list in audit.json, the surest first; nothing was changed."),
        Finding("too_long", Severity.NOTE, 38, (f"{file}:77", f"{file}:1843"),
                "38 texts are longer than 256 tokens and are cut there.",
                "Raise max_tokens in the plan if the end of a text matters."),
        Finding("unused_columns", Severity.NOTE, 1, (), "1 column is not used: customer_id.",
                "Name it in --inputs to use it."),
    ), ((1, 2), (5, 9)), left_out, afterwards=(
        Finding("label_errors", Severity.WARN, 31, (f"{file}:12", f"{file}:80"),
                "About 31 of 8,474 labels look wrong (12 to 55).", "Read them, the first first."),
    ), near_twins=(
        NearTwins((f"{file}:7", f"{file}:8200"), (labels[0], labels[1]), ("train", "test"), 0.991),
    ))
    split = Split(
        tuple(train), tuple(validation), Vault(tuple(range(rows - test, rows)), "7be1" * 16),
        "c0ffee" * 10 + "abcd", "beef" * 16, left_out,
        ("75 / 12.5 / 12.5, stratified by label.", "Clusters of twins stand on one side."))
    plan = Plan(
        task="classification", modality="text",
        model="/home/anna/models/all-MiniLM-L6-v2", weights="53aa" * 16, learning="beef" * 16,
        classes=labels, metric="accuracy",
        rungs=(Rung("features"), Rung("top", {"awake": 2, "rate": 0.0002}),
               Rung("full", {"rate": 0.00005, "slower": 2.6, "epochs": 6}), Rung("lora")),
        max_tokens=256, precision="bf16", threads=8, seed=13, name=name,
        reading=Reading(f"/home/anna/{file}"),
        predicted=(Cost("features", 21.0, 880_000_000), Cost("top", 70.0, 1_300_000_000),
                   Cost("full", 301.0, 2_600_000_000), Cost("lora", 480.0, 1_900_000_000)),
        reasons=(
            "Accuracy decides, because the rarest class has 41% of the rows of the largest.",
            "256 tokens hold 99.6% of the texts whole.",
            "bf16 was measured to be 1.9 times as fast as fp32 on this machine.",
            "lora was not climbed: its 480 s do not fit into the 10 minutes given."))
    return Story(dataset, audit, split, plan, run_of(), examined(evaluation_of(labels, test)),
                 {"python": "3.11.9", "fettle": "0.1.0", "torch": "2.9.0"},
                 spending(plan, run_of(), MACHINE))


def bare() -> Story:
    """As little as a run can have: two classes, one rung, no before, no validation, no finding."""
    whole = story(("no", "yes"), rows=160, name="answers")
    split = Split(whole.split.train + whole.split.validation, (), whole.split.vault,
                  whole.split.dataset, whole.split.learning)
    rung = replace(whole.run.rungs[0], trials=())
    run = replace(whole.run, rungs=(rung,), kept="features", why="")
    only = replace(whole.evaluation.contender("features"), versus_kept=None)
    evaluation = replace(whole.evaluation, kept="features", before=None, contenders=(only,),
                         latency=(), smallest_gain=None, openings=4, notes=(), calibration=None,
                         abstention=None, slices=(), curve=None, fitting=None, forgetting=None,
                         blocks=(), look_at=(), rows_to_tell=None)
    plan = replace(whole.plan, rungs=(Rung("features"),), predicted=(), reasons=())
    dataset = replace(whole.dataset, refused=())
    return Story(dataset, Audit("c0ffee", ()), split, plan, run, evaluation,
                 spending=spending(plan, run))


def hostile() -> Story:
    """Names, labels, ids, sentences and notes by somebody who means harm."""
    whole = story(HOSTILE, rows=1600)
    evil = HOSTILE[0] + HOSTILE[1]
    dataset = replace(
        whole.dataset, name=HOSTILE[1],
        schema=Schema("label", ("subject", HOSTILE[0]), (HOSTILE[2], HOSTILE[4]), (evil,)),
        ids=tuple(f"{HOSTILE[0]}:{row}" for row in range(whole.dataset.rows)),
        refused=(Refused(evil, evil),))
    audit = replace(whole.audit, findings=tuple(
        replace(found, sentence=evil, remedy=evil, check=HOSTILE[2], rows=HOSTILE)
        for found in whole.audit.findings), left_out=(LeftOut(evil, evil, (1, 2)),),
        afterwards=(Finding(HOSTILE[2], Severity.WARN, 2, HOSTILE, evil, evil),),
        near_twins=(NearTwins((evil, evil), (evil, evil), (evil, evil), float("nan")),))
    plan = replace(whole.plan, name=HOSTILE[0], model=HOSTILE[6], reasons=HOSTILE,
                   rungs=(Rung("features", {HOSTILE[1]: HOSTILE[0]}), *whole.plan.rungs[1:]))
    rungs = (*whole.run.rungs[:2], replace(
        whole.run.rungs[2], name=HOSTILE[3], notes=HOSTILE, chosen={HOSTILE[0]: HOSTILE[1]}))
    run = replace(whole.run, rungs=rungs, kept=HOSTILE[3], why=evil)
    contenders = (*whole.evaluation.contenders[:-1], replace(
        whole.evaluation.contenders[-1], name=HOSTILE[3], note=evil))
    evaluation = replace(
        examined(whole.evaluation, word=evil), contenders=contenders, kept=HOSTILE[3],
        notes=HOSTILE)
    return Story(dataset, audit, whole.split, plan, run, evaluation, {evil: evil},
                 spending(plan, run, MACHINE))
