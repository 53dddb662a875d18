"""Schedules: at this step, which share of its learning rate does every block use?"""

import math

__all__ = ["warmup_cosine"]


def warmup_cosine(step: int, *, steps: int, warmup: float) -> float:
    """From 0 up to 1 over the first part, then down along half a cosine to 0.

    Args:
        step: counted from 0.
        steps: of the whole training.
        warmup: share of the steps that go up, from 0 to 1.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, without restarts.
    """
    rising = max(round(steps * warmup), 1)
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(steps - rising, 1)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
