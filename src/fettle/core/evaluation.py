"""The Evaluation: before and after on the test rows, and how sure one can be of every number."""

from dataclasses import dataclass

from fettle.core.score import Comparison, Score

__all__ = [
    "Abstention",
    "Bin",
    "BlockUse",
    "Calibration",
    "ClassScores",
    "Contender",
    "Coverage",
    "CurvePoint",
    "Evaluation",
    "Fitting",
    "Forecast",
    "Forgetting",
    "LabelRule",
    "Latency",
    "LearningCurve",
    "LookAt",
    "Reliability",
    "Residuals",
    "Retention",
    "Slice",
    "Span",
    "Threshold",
]


@dataclass(frozen=True, slots=True)
class Contender:
    """Anything that was scored on the test rows."""

    name: str
    """Such as zero_shot, nearest_mean, majority, tfidf, features, full."""
    kind: str
    """before, baseline or rung."""
    scores: tuple[Score, ...]
    versus_kept: Comparison | None
    """The kept model against this one; None for the kept model itself."""
    note: str = ""
    """Such as "uses training labels"."""

    def score(self, name: str) -> Score:
        """The score of this name."""
        return next(score for score in self.scores if score.name == name)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One class on the test rows."""

    label: str
    rows: int
    """Test rows of this class."""
    precision: Score
    recall: Score
    f1: Score


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Where a row may have several labels: when one of them is called."""

    label: str
    threshold: float
    """It is called from this probability on."""
    own: bool
    """Whether the threshold was fitted for this label alone; a rare one takes that of all."""
    rows: int
    """Rows that have it, among those that the threshold was fitted on."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the kept model takes to answer, preprocessing included."""

    batch: int
    p50_seconds: float
    p95_seconds: float
    repeats: int
    p99_seconds: float | None = None
    """None where too few were timed to tell one in a hundred."""
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Bin:
    """Test rows of like confidence."""

    rows: int
    confidence: float
    """Mean probability of the answers."""
    accuracy: float
    low: float
    high: float
    """Where the accuracy of so many rows would lie in 95% of cases, were every probability true."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether probabilities mean what they say."""

    nll: Score
    """Mean negative log-likelihood of the true class, in nats."""
    brier: Score
    """Mean squared difference of probabilities and truth, summed over classes: 0 to 2."""
    error: Score
    """Root mean square gap between confidence and accuracy, debiased."""
    ece: float
    """Mean gap between confidence and accuracy over the bins, as it comes."""
    ece_by_chance: float
    """What that would stay below in 95% of cases, were every probability true."""
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Raw outputs are divided by the temperature before they become probabilities."""

    temperature: float
    rows: int
    """That it was fitted on."""
    source: str
    """What rows those were: validation or out of fold."""
    before: Reliability
    after: Reliability
    low: float | None = None
    """Of the temperature's 95% interval; None where it was fitted elsewhere."""
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Test rows of like answers: how far these lie from the truth on average."""

    rows: int
    said: float
    """Mean answer."""
    truth: float
    """Mean truth, with its 95% interval."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Residuals:
    """What numbers are off by: answer minus truth, in the unit of the target."""

    bias: Score
    """The mean: above 0 where too much is answered."""
    quantiles: tuple[float, float, float, float, float]
    """At 5, 25, 50, 75 and 95%."""
    level: float
    """How often the interval around an answer should hold the truth."""
    half_width: float | None
    """Of that interval, from the errors on rows that were not learned from; None where those are
    too few to promise anything."""
    fitted_on: int
    """How many rows those were."""
    source: str
    """What rows those were: validation or out of fold."""
    covered: Score | None
    """How often the interval held the truth on the test rows."""
    spans: tuple[Span, ...]
    """Ten parts of the test rows by their answers, the lowest first."""
    points: tuple[tuple[float, float], ...]
    """(truth, answer) of at most 500 test rows, evenly taken."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The answers above one confidence."""

    threshold: float
    share: float
    """Of the rows, how many are answered."""
    accuracy: Score
    """Of those."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The confidence above which answers have a wanted accuracy, chosen on validation rows."""

    wanted: float
    threshold: float | None
    """None where the validation rows show no confidence that is high enough."""
    share: Score | None = None
    """Of the test rows, how many are answered."""
    accuracy: Score | None = None
    """Of those."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """What it brings to leave the unsure rows to a person."""

    curve: tuple[Coverage, ...]
    area: Score
    """Under the curve of risk against coverage; less is better."""
    best_area: float
    """That of the same right and wrong answers, were every wrong one less sure than a right one."""
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Test rows that share something, judged apart."""

    by: str
    """A column, length, or cluster."""
    value: str
    score: Score
    """Accuracy; of numbers, the mean absolute error."""
    p_worse: float
    """Of the slice against all other rows, after Benjamini and Hochberg."""
    change: Comparison | None
    """Before against after on these rows."""
    p_change: float | None
    """Of the change, after Benjamini and Hochberg."""
    lost: bool
    """Whether it lost while the whole gained."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Heads solved on so many rows."""

    rows: int
    score: Score
    """Accuracy (of numbers, the mean absolute error) on the test rows, the mean over subsets of so
    many rows."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What more rows would bring."""

    more_rows: int
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Score against learning rows, of heads on the frozen features."""

    points: tuple[CurvePoint, ...]
    fit: tuple[float, float, float] | None
    """(a, b, c) of error = a + b * rows ** -c; None where no such curve fits."""
    forecasts: tuple[Forecast, ...]
    why: str
    """What the forecasts rest on, or why there are none."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """Whether the kept model learned too little, or too much by heart."""

    train: Score
    """Accuracy on rows that it learned from."""
    test: Score
    ceiling: Score | None
    """What no model can exceed, from twins whose labels contradict; None: too few twins."""
    overfits_from: int | None
    """The epoch from which validation loss rose while training loss fell."""
    stopped_by: str
    verdict: str
    """overfits, underfits, or neither."""
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retention:
    """A linear probe on one set of guarded rows: what can still be read from the features."""

    data: str
    rows: int
    base: Score
    tuned: Score
    change: Comparison
    similarity: float
    """Linear CKA of the two models' features, from 0 (unlike) to 1 (the same up to rotation)."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What the model before could do and this one cannot."""

    retentions: tuple[Retention, ...]
    similarity: float | None
    """Linear CKA on the test rows."""
    flips: Comparison | None
    """The version before against this one on these test rows; its losses are negative flips."""
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockUse:
    """One block of the kept network, and what training did to it."""

    name: str
    parameters: int
    learned: int
    """Of them, how many training could change, those that it added included."""
    first_rate: float
    last_rate: float
    """Relative to an optimizer step, in the first and in the last epoch; 0.0 where frozen."""
    moved: float | None
    """Norm of the change of its weights, as a share of their norm; None for a new block."""


@dataclass(frozen=True, slots=True)
class LookAt:
    """A row that a person should look at."""

    id: str
    why: str
    """wrong and sure, far off, or suspected label."""
    label: str
    said: str
    confidence: float
    """Of numbers, what the answer is off by."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything measured on the test rows."""

    test: str
    """Fingerprint of the test rows."""
    rows: int
    openings: int
    """How many times these test rows have been looked at, this one included."""
    metric: str
    kept: str
    before: str | None
    """The better of the contenders of kind "before"; None for rows scored on their own."""
    contenders: tuple[Contender, ...]
    classes: tuple[ClassScores, ...] = ()
    labels: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    """Counts; a line is a true class, a column a predicted one, in the order of labels."""
    latency: tuple[Latency, ...] = ()
    smallest_gain: float | None = None
    """The smallest gain in accuracy (of numbers, in the mean absolute error) that this many test
    rows show in 80% of cases."""
    notes: tuple[str, ...] = ()
    rows_to_tell: int | None = None
    """About how many more test rows would show the measured change from before, in 80% of cases;
    None where they are enough, or no number would do."""
    rules: tuple[LabelRule, ...] = ()
    """Of each label, where a row may have several."""
    calibration: Calibration | None = None
    abstention: Abstention | None = None
    slices: tuple[Slice, ...] = ()
    curve: LearningCurve | None = None
    fitting: Fitting | None = None
    forgetting: Forgetting | None = None
    groups: int | None = None
    """Of test rows that hang together; intervals count them whole. None: every row is alone."""
    blocks: tuple[BlockUse, ...] = ()
    look_at: tuple[LookAt, ...] = ()
    residuals: Residuals | None = None
    """Of numbers; None where classes are answered."""

    def contender(self, name: str) -> Contender:
        """The contender of this name."""
        return next(one for one in self.contenders if one.name == name)
