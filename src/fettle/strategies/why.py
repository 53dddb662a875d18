"""Why: the reason of every setting's usual value, and what was asked to be otherwise."""

from collections.abc import Mapping, Sequence

from fettle.core.plan import Rung, Setting
from fettle.strategies import DEFAULTS

__all__ = ["OF_PICTURES", "WHY", "setting_reasons"]

WHY: dict[str, str] = {
    "poolings": "each costs nothing once the backbone has run; the encoder's own is kept unless "
                "another is surely better",
    "l2": "a path of solved heads from the strongest penalty to next to none; validation chooses",
    "rate": "of the top block; measured at width 384, and (384 / width)^2 of it for wider "
            "networks, which gives the usual 4e-5 at 768 and 2e-5 at 1,024",
    "rate of lora": "some 7 times that of full; LoRA's usual factor is about 10",
    "rate of bitfit": "the paper's are 1e-4 to 1e-3, and so few numbers take the highest",
    "rate of scratch": "weights that begin at random have far to go",
    "rate of contrastive": "half of it took twice the steps, and knew other rows no better",
    "rate_by": "a range test costs 100 steps; `--learning-rate find` runs one",
    "slower": "each block's share of the rate above it: low blocks hold what holds everywhere; 0.9 "
              "is usual for base-sized networks, and 1 where few or no pre-trained weights move",
    "head_rate": "the head is small, begins solved, and must follow the blocks as they change",
    "epochs": "at most: validation keeps the best one, and patience ends the rung before",
    "epochs of scratch": "pre-trained weights would need fewer",
    "epochs of contrastive": "30 steps, and one more for every ten rows",
    "batch_rows": "BERT's authors took 16 or 32 (Devlin 2019, A.3)",
    "batch_rows of contrastive": "every pair of a batch counts, so twice the rows make four times "
                                 "the pairs",
    "schedule": "most peers take it or a line",
    "schedule of contrastive": "when it has learned enough is not known before",
    "warmup": "share of the steps in which the rate rises: steadier on few rows (Mosbach 2021)",
    "cycles": "counts for the schedules restarts and cyclical alone",
    "loss": "every row counts alike; weighted and adjusted favor rare classes and must be asked "
            "for, huber forgives outliers",
    "label_smoothing": "off: what it gains is small, and mostly where classes are many",
    "weight_decay": "AdamW's usual, not on norms and biases (Loshchilov and Hutter 2019)",
    "weight_decay of bitfit": "biases are never decayed",
    "weight_decay of l2sp": "the pull to the start stands in its place",
    "clip": "the usual longest gradient: one batch cannot throw the weights far",
    "dropout": "what BERT and its like were pre-trained with",
    "patience": "one epoch that is no better may be chance",
    "patience of scratch": "it learns more slowly, so more bad epochs may be chance",
    "stop_by": "epochs are compared by what rungs are compared by",
    "word_embeddings": "most words of a set are rare, and moving those that occur away from those "
                       "that do not overfits; it also saves a good part of a step",
    "word_embeddings of scratch": "at random they say nothing",
    "head": "it can be solved, so that training begins from a good one",
    "reinit_top": "beginning blocks at random helps masked language models on few rows, and harms "
                  "sentence encoders",
    "top_blocks": "a third of the blocks: most of the gain, and two thirds are replayed",
    "blocks_an_epoch": "as Howard and Ruder 2018, 3.3",
    "rank": "usual for adapters on all linear maps",
    "alpha": "twice the rank, as is usual",
    "anchor": "what the paper tried first (Li 2018)",
    "head_decay": "what the paper tried first (Li 2018)",
    "window": "share of the steps that the average looks back",
    "ingredients": "as many as AutoGluon tries",
    "enough": "classes are apart then; going on made other rows of three sets worse",
    "templates": "label names help where they mean something, and that must be said",
    "networks": "where no row is held out: each learns from four fifths of the rows and is judged "
                "on the rest",
    "networks of scratch": "where no row is held out: each learns from three or four fifths of the "
                           "rows and is judged on the rest; one more learns from all",
    "networks of lora": "where no row is held out: each learns from three or four fifths of the "
                        "rows and is judged on the rest; one more learns from all",
    "kept": "where no row is held out: the mean of the weights of the networks that judge it does "
            "better on other rows than one more that learns from all, and costs nothing",
    "networks of contrastive": "where no row is held out: two, of two and of three fifths, say how "
                               "good it is at the least cost",
}
"""By the setting's name; by "NAME of STRATEGY" where one has a reason of its own."""
OF_PICTURES = {
    "rate": "of the top block; networks of pictures take the same, however wide they are",
    "dropout": "in the head and wherever the network has dropouts",
    "poolings": "the network pools by itself",
    "reinit_top": "only pre-trained blocks carry over what was learned",
}
"""Reasons that are others for pictures."""


def setting_reasons(
    rungs: Sequence[Rung], asked: Mapping[str, Setting], *, modality: str = "text"
) -> list[str]:
    """One sentence for each setting, reason and value: what it is in which rungs, and why.

    Args:
        rungs: of a plan.
        asked: settings by name, as a person wanted them.
        modality: text or image.
    """
    own = OF_PICTURES if modality == "image" else {}
    told: dict[tuple[str, str], list[str]] = {}
    for rung in rungs:
        for name, value in rung.settings.items():
            why = own.get(name) or WHY.get(f"{name} of {rung.strategy}", WHY[name])
            if name in asked:
                why = f"as asked; {_shown(DEFAULTS[rung.strategy][name])} is usual"
            told.setdefault((f"{name} {_shown(value)}", why), []).append(rung.strategy)
    return [f"{what} ({', '.join(names)}): {why}." for (what, why), names in told.items()]


def _shown(value: Setting) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
