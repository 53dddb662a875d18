"""What is predicted, and how it is judged. To add a task: write its file, add its line."""

from fettle.tasks.classification import Classification
from fettle.tasks.regression import Regression

__all__ = ["TASKS"]

TASKS: dict[str, type[Classification] | type[Regression]] = {
    "classification": Classification,
    "regression": Regression,
}
"""classification: one label a row; judged by accuracy and macro precision, recall and F1.
regression: one number a row; judged by MAE, RMSE, R2 and Spearman's rank correlation."""
