"""Runs of the nouns of a story that was told, some of them replaced; for tests of training."""

from dataclasses import replace

from fettle.core.progress import Note, finish
from fettle.stages import training


def trained(told, folder, **changed):
    """The Run of this story's nouns, some of them replaced, in a fresh folder."""
    nouns = {"dataset": told.dataset, "split": told.split, "plan": told.plan, **changed}
    return finish(training.train(**nouns, card=told.card, folder=folder))


def notes(events):
    return [event.sentence for event in events if isinstance(event, Note)]


def climbing_only(told, *names):
    """The story's plan with only these of its rungs."""
    return replace(told.plan, rungs=tuple(rung_of(told, name) for name in names))


def rung_of(told, name):
    return next(rung for rung in told.plan.rungs if rung.strategy == name)
