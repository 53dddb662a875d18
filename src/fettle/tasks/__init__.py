"""What is predicted, and how it is judged. To add a task: write its file, add its line."""

from fettle.tasks.classification import Classification

TASKS = {"classification": Classification}
