"""Contrastive tuning for few labels: texts of one class are drawn together, others apart, and then
the head is solved.

Every row of a batch is encoded once, and every pair of them counts: n rows give n (n - 1) / 2
pairs, where training on sampled pairs encodes two rows for each.
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from fettle.core.parts import LossPart, Strategy
from fettle.core.plan import Setting
from fettle.strategies.tuning import discriminative_rates, learns, usual_without

if TYPE_CHECKING:
    import torch

__all__ = ["DEFAULTS", "Pairs", "contrastive", "epochs_for"]

DEFAULTS: dict[str, Setting] = {
    **usual_without("loss", "label_smoothing", "head", "reinit_top", "stop_by", "patience",
                    "head_rate", "rate_by", "kept"),
    "rate": 2e-4,
    "schedule": "constant",
    "slower": 1.0,
    "batch_rows": 64,
    "epochs": 30,
    "enough": 0.1,
    "templates": 0,
    "networks": 2,
}
"""`templates` rows "This sentence is LABEL" a class are learned from beside the labelled ones, and
`networks` networks are tuned to be judged where no row is held out. An epoch with a loss below
`enough` is the last one: classes are apart then, and what follows fits the few rows alone, at the
cost of others. Planning shortens the epochs where there are more rows."""
FEWEST_STEPS, ROWS_A_STEP = 30, 10
"""Steps: 30, and one more for every ten rows, at most."""


def contrastive(settings: Mapping[str, Setting]) -> Strategy:
    """All blocks learn from pairs; there is no head while they do.

    Source: Tunstall et al., "Efficient Few-Shot Learning Without Prompts" (SetFit), 2022, section
    3, for the two phases, the cosine loss and the templates; all pairs of a batch instead of
    sampled ones as in Hermans et al., "In Defense of the Triplet Loss", 2017, section 2 (batch
    all).
    """
    return Strategy(
        rates=partial(
            discriminative_rates,
            rate=float(settings["rate"]),
            slower=float(settings["slower"]),
            head_rate=float(settings["rate"]),
        ),
        learns=partial(learns, settings),
        objective=Pairs(),
    )


class Pairs:
    """The squared distance of a pair's cosine from 1 for one class, and from 0 for two.

    Pairs of one class weigh as much together as pairs of two: there are far fewer of them.
    """

    couples_rows = True

    def counts(self, batch: "dict[str, torch.Tensor]") -> dict[str, int]:
        """Pairs of one class, and pairs of two."""
        target = batch["target"]
        every = len(target) * (len(target) - 1) // 2
        shares = target.bincount()
        alike = int((shares * (shares - 1) // 2).sum())
        return {"alike": alike, "apart": every - alike}

    def loss(
        self, outputs: "torch.Tensor", batch: "dict[str, torch.Tensor]"
    ) -> dict[str, LossPart]:
        """Both parts, summed over their pairs.

        Args:
            outputs: vectors of length 1, (rows, width).
            batch: with target, (rows,).
        """
        import torch

        with torch.autocast(outputs.device.type, enabled=False):  # in bf16, near ones are all 1
            cosines = outputs.float() @ outputs.float().T
        alike = (batch["target"][:, None] == batch["target"][None, :]).triu(diagonal=1)
        apart = (batch["target"][:, None] != batch["target"][None, :]).triu(diagonal=1)
        count = self.counts(batch)
        return {
            "alike": LossPart((1 - cosines).square()[alike].sum(), count["alike"], 0.5),
            "apart": LossPart(cosines.square()[apart].sum(), count["apart"], 0.5),
        }


def epochs_for(rows: int, batch_rows: int) -> int:
    """So many epochs over these rows make the steps that few labels need at most."""
    steps = FEWEST_STEPS + rows / ROWS_A_STEP
    return max(round(steps / max(-(-rows // batch_rows), 1)), 1)
