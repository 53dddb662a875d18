"""sentence-transformers' encode as it comes, doing an Encoding job; the last line is JSON.

    .peers/sentence_transformers/bin/python bench/sentences_side.py JOB.json

Opening the network is off the clock, and so is one small call before it; tokenising is on it.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer

from jobs import Encoding, load
from measuring import peak_bytes

WARM = 64


def run(job: Encoding) -> dict[str, Any]:
    """Encode the texts, and leave the vectors in the job's file."""
    model = SentenceTransformer(job.model)
    texts = list(job.texts)
    model.encode(texts[:WARM])
    begun = time.perf_counter()
    vectors = model.encode(texts)
    seconds = time.perf_counter() - begun
    np.save(job.vectors, np.asarray(vectors, dtype=np.float32))
    return {
        "seconds": seconds, "peak_bytes": peak_bytes(), "threads": torch.get_num_threads(),
        "precision": str(next(model.parameters()).dtype).removeprefix("torch."),
        "versions": {"torch": torch.__version__,
                     "sentence-transformers": sentence_transformers.__version__},
    }


if __name__ == "__main__":
    print(json.dumps(run(load(Path(sys.argv[1]), Encoding))))
