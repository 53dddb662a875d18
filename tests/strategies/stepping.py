"""How far each weight moves at a step: with Adam's first step it is the rate itself."""

import numpy as np

from fettle.core.run import Step
from fettle.engine.loop import Loop
from small import encoder, lesson, network, task

RATES = {"rate": 1e-2, "slower": 0.5, "head_rate": 0.1, "warmup": 0.0, "weight_decay": 0.0,
         "clip": 1e9, "dropout": 0.0, "batch_rows": 64}  # fmt: skip
"""One batch an epoch; nothing but the rate decides how far a weight moves."""


def small(folder, **changes):
    """A network of four blocks between embeddings (0) and head (5), all of which matter."""
    found = network(folder, num_hidden_layers=4, **changes)
    for module in found.modules():
        if hasattr(module, "p"):
            module.p = 0.0
    return found


def moves(found, strategy, settings):
    """One dict a step: how far each parameter's farthest weight moved, by name; 0.0 for not at all.

    Args:
        found: network, which is changed.
        strategy: of the settings; its `prepare` is the caller's to call.
        settings: of the rung.
    """
    read = encoder(found.card)
    loop = Loop(found, read, task(), strategy=strategy, settings=settings, precision="fp32", seed=0)
    before = {name: value.detach().clone() for name, value in found.named_parameters()}
    steps = []
    for event in loop.fit(lesson(read, 30), None, lambda outputs, targets: 0.0):
        if isinstance(event, Step):
            steps.append({name: float((value.detach() - before[name]).abs().max())
                          for name, value in found.named_parameters()})  # fmt: skip
            before = {name: value.detach().clone() for name, value in found.named_parameters()}
    return steps


def by_block(found, moved):
    """How far the farthest weight of each block moved, from the embeddings to the head."""
    farthest = np.zeros(found.blocks)
    for name, far in moved.items():
        block = found.block_of(name)
        farthest[block] = max(farthest[block], far)
    return farthest.tolist()
