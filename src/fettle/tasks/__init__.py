"""What is predicted, and how it is judged. To add a task: write its file, add its line."""

from fettle.tasks.classification import Classification

__all__ = ["TASKS"]

TASKS: dict[str, type[Classification]] = {"classification": Classification}
"""classification: one label a row; judged by accuracy and macro precision, recall and F1."""
