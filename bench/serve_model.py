"""The encoder of fettle's default text model as a transformers classifier with a random head.

    python bench/serve_model.py FOLDER CLASSES
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from fettle.models.cards import card_of
from fettle.models.sources import DEFAULT_TEXT_MODEL


def main() -> None:
    """Write it, with its tokenizer, as a pipeline opens it."""
    folder, classes = Path(sys.argv[1]), int(sys.argv[2])
    source = card_of(DEFAULT_TEXT_MODEL).folder
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=classes)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)


if __name__ == "__main__":
    main()
