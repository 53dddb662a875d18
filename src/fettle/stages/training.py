"""Training: a Dataset, its Split and a Plan in, a Run out.

The ladder is climbed from the cheapest rung to the dearest on the same frozen features. Every rung
is finished on the disk before the next begins, so the same command goes on where it was stopped.
Nothing here sees a test row.
"""

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from fettle.core.dataset import Dataset
from fettle.core.errors import CorruptFile
from fettle.core.parts import Card
from fettle.core.plan import Plan, Rung
from fettle.core.progress import Note, Progress
from fettle.core.run import Epoch, Repeat, Run, RungResult, Spread, Step
from fettle.core.split import Split
from fettle.engine import climbing, contrast, repeating, views
from fettle.engine.affording import left_out
from fettle.engine.costs import replayed_blocks
from fettle.engine.device import cores, peak_bytes, set_threads
from fettle.engine.ground import Ground, ready
from fettle.engine.linear import RIDGE, Chosen, choose
from fettle.engine.loop import Lesson
from fettle.engine.replay import Kept, prefix
from fettle.measures import folds
from fettle.modalities import ENCODERS
from fettle.models.network import BlockNetwork, open_network, preprocessing
from fettle.store import checkpoints, files, folders, records, seals
from fettle.store.answers import keep_targets
from fettle.strategies import DEFAULTS, STRATEGIES
from fettle.tasks.making import task_of

__all__ = ["train"]

FOLDS = 5
"""Where there is no validation part, every choice is made on rows held out in turn."""
REPEATS = 3
"""Times that such folds are drawn for the choice of the head, which costs next to nothing."""
REFERENCE_ROWS = 256
"""On these the trained network's outputs are kept; a published version must give the same."""
IN_A_CHECKPOINT = 4
"""Times the weights that learn: they, the best so far, and the optimizer's two moments."""
Event = Progress | Note | Step | Epoch | RungResult | Repeat


def train(
    dataset: Dataset, split: Split, plan: Plan, *, card: Card, folder: Path,
    save_seconds: float = 60.0,
) -> Generator[Event, None, Run]:
    """Climb the plan's rungs, and keep one of them.

    Args:
        dataset, split: whose learning rows are learned from.
        plan: what to do.
        card: of the plan's model.
        folder: the run's; rungs that are finished there are not climbed again.
        save_seconds: between checkpoints inside an epoch.

    Yields:
        Progress, every Step and Epoch, a RungResult whenever a rung is done, and a Repeat for
        each further seed.

    Raises:
        NonFinite: a loss was not a finite number.
        StoreError: the disk is full or gone, or what is to be saved does not fit on it.
    """
    set_threads(plan.threads)
    if cores() < plan.threads:
        yield Note(f"The plan was made for {plan.threads} threads, and this process may use "
                   f"{cores()} of the machine's cores now: it is slower, and gives the same bits.")
    ground = yield from _ground(dataset, split, plan, card, folder, save_seconds)
    _require_room(ground, plan)
    results: list[RungResult] = []
    omitted: list[str] = []
    chosen: Chosen | None = None
    for rung in plan.rungs:
        result = yield from _finished(folder, rung)
        if result is None:
            if sentence := _does_not_fit(plan, rung, results, folder):
                yield Note(sentence, left_out=rung.strategy)
                omitted.append(sentence)
                continue
            begun = time.perf_counter() if results else ground.begun
            if chosen is None:
                chosen = yield from _heads(ground, plan)
            result = yield from _climb(ground, plan, rung, chosen, begun=begun)
        climbing.log(folder, result)
        _clear(folder, rung)
        yield result
        results.append(result)
    kept, why = _kept(results, ground, plan)
    spread = yield from _over_seeds(ground, plan, kept, results, chosen)
    return Run(
        plan=plan.id,
        folder=str(folder),
        rungs=tuple(results),
        kept=kept,
        why=why,
        poolings=tuple(_poolings(plan, card)),
        first_batch_seconds=ground.first_batch_seconds,
        left_out=tuple(omitted),
        spread=spread,
    )


def _does_not_fit(
    plan: Plan, rung: Rung, results: Sequence[RungResult], folder: Path
) -> str | None:
    """Why a rung is left out now that the rungs below have taken what they took; None to climb it.
    """
    if not results:
        return None
    needed = next(cost.seconds for cost in plan.predicted if cost.rung == rung.strategy)
    return left_out(rung.strategy, needed, [one.seconds for one in results], plan, folder)


def _over_seeds(
    ground: Ground, plan: Plan, kept: str, results: Sequence[RungResult], chosen: Chosen | None
) -> Generator[Event, None, Spread | None]:
    """The kept rung with every seed that was asked for, until the budget ends."""
    rung = next(one for one in plan.rungs if one.strategy == kept)
    if plan.seeds == 1:
        return None
    if STRATEGIES[kept](rung.settings).solved:
        yield Note(f"{kept} is solved, not trained: no seed changes it, so there is no spread.")
        return None
    if chosen is None:
        chosen = yield from _heads(ground, plan)
    return (yield from repeating.over_seeds(
        ground, plan, rung, lambda: STRATEGIES[kept](rung.settings), chosen, results))


def _ground(
    dataset: Dataset, split: Split, plan: Plan, card: Card, folder: Path, save_seconds: float
) -> Generator[Event, None, Ground]:
    """What all rungs stand on: the encoded rows, and what the frozen backbone makes of them."""
    begun = time.perf_counter()
    network = open_network(card)
    network.attend_plainly(below=plan.math_below)
    encoder = ENCODERS[plan.modality].fit(
        card, preprocessing(card), fields=dataset.schema.inputs, max_tokens=plan.max_tokens,
        pictures=plan.pictures, texts=plan.texts,
    )
    network.run_on(plan.pictures)
    learners = split.learners
    items = encoder.encode(dataset.fields(learners))
    first_batch: float | None = None
    work = prefix(
        network, encoder, items,
        poolings=_poolings(plan, card), blocks=_replayed_blocks(plan, network),
        precision=plan.precision, folder=folders.cache() / "replay", limit=plan.cache_limit,
    )
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            kept: Kept = end.value
            break
        if first_batch is None:
            first_batch = time.process_time()
        yield event
    seen = yield from views.kept(
        network, encoder, items[: len(split.train)] if split.validation else items, kept, plan,
        folder=folders.cache() / "replay")
    task = task_of(plan)
    targets = task.targets(dataset.targets(learners))
    sides = _folds(dataset, split, plan, task.strata(targets))
    judged = np.concatenate([judge for _, judge in sides])
    keep_targets(folder, targets[judged], judged)
    return Ground(
        network=network,
        encoder=encoder,
        task=task,
        lesson=Lesson(items, targets, [dataset.ids[row] for row in learners], kept.states, seen),
        vectors=kept.vectors,
        folds=sides,
        held_out=bool(split.validation),
        score=task.score(plan.metric),
        folder=folder,
        begun=begun,
        first_batch_seconds=first_batch,
        save_seconds=save_seconds,
        scores={name: task.score(name) for name in task.stops},
        groups=split.groups(learners),
        repeats=[] if split.validation else [
            _folds(dataset, split, plan, task.strata(targets), again=number)
            for number in range(1, REPEATS)],
    )


def _replayed_blocks(plan: Plan, network: BlockNetwork) -> list[int]:
    """Where the rungs of this plan start from what frozen blocks gave."""
    if not plan.cache_limit or not network.resumable:
        return []
    return sorted({
        block
        for rung in plan.rungs
        for block in replayed_blocks(
            STRATEGIES[rung.strategy](rung.settings), blocks=network.blocks,
            epochs=int(rung.settings.get("epochs", 1)),
        )
    })


def _heads(ground: Ground, plan: Plan) -> Generator[Event, None, Chosen]:
    """Pooling and penalty, chosen on validation; every rung starts from them."""
    tried = str(_features_rung(plan, ground.network.card).settings["l2"])
    penalties = [float(text) for text in tried.split(",")]
    grows = tried == DEFAULTS["features"]["l2"]  # others were asked for
    if grows and ground.task.solver == "ridge":
        penalties = sorted({*penalties, *RIDGE}, reverse=True)
    return (
        yield from choose(
            {name: ready(found, ground) for name, found in ground.vectors.items()},
            ground.lesson.targets,
            task=ground.task, folds=ground.folds, l2=penalties, score=ground.score,
            repeats=ground.repeats, grows=grows, own=ground.network.card.pooling,
            loses=partial(ground.task.paired_loss, plan.metric, seed=plan.seed,
                          groups=ground.together(ground.judged)),
        )
    )


def _climb(
    ground: Ground, plan: Plan, rung: Rung, chosen: Chosen, *, begun: float
) -> Generator[Event, None, RungResult]:
    """One rung: its network tuned and saved, its validation score."""
    strategy = STRATEGIES[rung.strategy](rung.settings)
    if strategy.solved:
        climbed = climbing.solved(ground, chosen)
    elif strategy.objective is not None:
        climbed = yield from contrast.tuned(ground, plan, rung, strategy, chosen)
    else:
        climbed = yield from climbing.tuned(ground, plan, rung, strategy, chosen)
    folder = ground.folder / "rungs" / rung.strategy
    climbed.network.save(folder)
    ground.encoder.save(str(folder))
    judged = ground.judged
    _keep_outputs(folder, ground, plan, climbed.network, climbed.outputs)
    result = RungResult(
        name=rung.strategy,
        folder=str(folder.relative_to(ground.folder)),
        validation=ground.task.interval(
            plan.metric, climbed.outputs, ground.lesson.targets[judged], seed=plan.seed,
            groups=ground.together(judged)),
        # of what an earlier command trained before it was stopped, too
        seconds=max(time.perf_counter() - begun, climbed.training_seconds),
        peak_bytes=peak_bytes(),
        history=climbed.history,
        chosen=climbed.chosen,
        trials=climbed.trials,
        notes=climbed.notes,
        flops=climbed.flops,
        training_seconds=climbed.training_seconds,
        range_test=climbed.range_test,
    )
    records.save(folder / "rung.json", result)
    seals.seal(folder)
    return result


def _keep_outputs(
    folder: Path, ground: Ground, plan: Plan, network: BlockNetwork, outputs: np.ndarray
) -> None:
    """What the rung said of validation, and what its final network says of reference rows."""
    few = ground.lesson.items[:REFERENCE_ROWS]
    checkpoints.write_tensors(
        folder / "outputs.safetensors",
        {
            "validation": torch.from_numpy(np.ascontiguousarray(outputs, dtype=np.float32)),
            "reference": torch.from_numpy(climbing.outputs(network, ground, few, plan)),
        },
    )


def _finished(folder: Path, rung: Rung) -> Generator[Note, None, RungResult | None]:
    """The rung, where an earlier command has climbed it and every byte of it is as it was."""
    place = folder / "rungs" / rung.strategy
    if not seals.is_sealed(place):
        return None
    try:
        seals.require_sealed(place)
        return records.load(place / "rung.json", RungResult)
    except CorruptFile as error:
        yield Note(f"{rung.strategy} is climbed again: {error}")
        return None


def _clear(folder: Path, rung: Rung) -> None:
    """The rung is finished: what it could have gone on from is not needed any more."""
    for one in sorted((folder / "checkpoints").glob(f"{rung.strategy}-*")):
        files.remove_folder(one)


def _require_room(ground: Ground, plan: Plan) -> None:
    """Stop before the first rung where the weights and checkpoints would not fit on the disk."""
    network, folder = ground.network, ground.folder
    largest, copies, parts = 0, IN_A_CHECKPOINT, 1
    for rung in plan.rungs:
        strategy = STRATEGIES[rung.strategy](rung.settings)
        if strategy.solved:
            continue
        kept = strategy.memory.copies(held_out=ground.held_out) if strategy.memory else 0
        copies = max(copies, IN_A_CHECKPOINT + kept)
        if not ground.held_out:
            parts = max(parts, int(rung.settings["networks"]) + 1)
        rates = [strategy.rates(network.blocks, epoch)
                 for epoch in range(int(rung.settings["epochs"]))]
        largest = max(largest, sum(
            value.nbytes for name, value in network.module.named_parameters()
            if strategy.learns(name) and any(one[network.block_of(name)] for one in rates)
        ))
    saves = checkpoints.KEPT * parts + 1  # the one more is being written
    whole = sum(value.nbytes for value in network.module.state_dict().values())
    written = len(plan.rungs) + 2  # the version, and its blobs
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    folders.require_room(folder, max(written * whole + saves * copies * largest - held, 0))


def _folds(
    dataset: Dataset, split: Split, plan: Plan, strata: np.ndarray, *, again: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows to learn from, rows to judge on), numbered within the learning rows."""
    every = np.arange(len(split.learners))
    if split.validation:
        return [(every[: len(split.train)], every[len(split.train) :])]
    rng = np.random.default_rng((plan.seed, len(every), again) if again else
                                (plan.seed, len(every)))
    number: dict[tuple[str, ...], int] = {}
    equal = np.array([number.setdefault(one, len(number))
                      for one in dataset.fields(split.learners)])
    groups = folds.joined(equal, split.groups(split.learners))
    several = min(FOLDS, len(np.unique(groups)))
    held = folds.stratified_folds(strata, groups, several, rng)
    return [(every[held != fold], every[held == fold]) for fold in range(several)]


def _kept(results: Iterable[RungResult], ground: Ground, plan: Plan) -> tuple[str, str]:
    """The cheapest rung whose paired mean loss to the best is at most one standard error."""
    climbed = list(results)
    outputs: Mapping[str, np.ndarray] = {
        one.name: checkpoints.read_tensors(ground.folder / one.folder / "outputs.safetensors")[
            "validation"
        ].numpy()
        for one in climbed
    }
    best = max(climbed, key=lambda one: one.validation.value)
    if len(climbed) == 1:
        return best.name, "It is the only rung that was climbed."
    targets, groups = ground.lesson.targets[ground.judged], ground.together(ground.judged)
    for rung in climbed:
        if rung is best:
            others = (
                "no rung is cheaper" if rung is climbed[0]
                else "every cheaper rung loses more than one paired standard error to it"
            )
            metric = plan.metric.replace("_", " ")
            return best.name, f"{best.name} has the best {metric} on validation, and {others}."
        loss, error = ground.task.paired_loss(
            plan.metric, outputs[best.name], outputs[rung.name], targets, seed=plan.seed,
            groups=groups)
        if loss <= error:
            return rung.name, (
                f"{rung.name} is cheaper than {best.name} and loses {loss:.4f} to it on the same "
                f"{len(targets):,} validation rows, which is within one paired standard error "
                f"({error:.4f})."
            )
    raise AssertionError("the best rung is one of the rungs")


def _features_rung(plan: Plan, card: Card) -> Rung:
    """The settings that heads are solved with, whether or not that rung is climbed itself."""
    for rung in plan.rungs:
        if rung.strategy == "features":
            return rung
    as_trained = card.modality == "image" or all(
        STRATEGIES[rung.strategy](rung.settings).objective for rung in plan.rungs)
    own = {"poolings": card.pooling} if as_trained else {}
    return Rung("features", {**DEFAULTS["features"], **own})


def _poolings(plan: Plan, card: Card) -> list[str]:
    return str(_features_rung(plan, card).settings["poolings"]).split(",")
