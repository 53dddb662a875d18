"""What is predicted, and how it is judged. To add a task: write its file, add its line."""

from fettle.tasks.classification import Classification
from fettle.tasks.multi_label import MultiLabel
from fettle.tasks.regression import Regression

__all__ = ["TASKS"]

TASKS: dict[str, type[Classification] | type[MultiLabel] | type[Regression]] = {
    "classification": Classification,
    "multi-label": MultiLabel,
    "regression": Regression,
}
"""classification: one label a row; judged by accuracy and macro precision, recall and F1.
multi-label: any number of labels a row; judged by micro and macro F1 and the F1 of rows.
regression: one number a row; judged by MAE, RMSE, R2 and Spearman's rank correlation."""
