"""A transformers pipeline behind starlette and uvicorn, as transformers documents web servers.

    python bench/pipeline_side.py PORT MODEL_FOLDER BATCH

One queue and one worker; with BATCH above 1 the worker takes what has come meanwhile, up to so
many, and hands it to the pipeline as one batch. Nothing is added: no limit, deadline, or journal.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from transformers import pipeline

PORT, FOLDER, BATCH = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
model = pipeline("text-classification", model=FOLDER)
waiting: "asyncio.Queue[tuple[str, asyncio.Future[Any]]]" = asyncio.Queue()


async def work() -> None:
    """Answer what waits, for ever; the pipeline runs on a thread, so that requests come in."""
    while True:
        batch = [await waiting.get()]
        while len(batch) < BATCH and not waiting.empty():
            batch.append(waiting.get_nowait())
        texts = [text for text, _ in batch]
        found = await asyncio.to_thread(
            model, texts, batch_size=len(texts), truncation=True, max_length=256
        )
        for (_, answer), one in zip(batch, found, strict=True):
            answer.set_result(one)


async def predict(request: Request) -> JSONResponse:
    """One text a request."""
    (text,) = json.loads(await request.body())["rows"]
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    await waiting.put((text, answer))
    return JSONResponse(await answer)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """The worker, beside the requests."""
    worker = asyncio.create_task(work())
    yield
    worker.cancel()


if __name__ == "__main__":
    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])], lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", access_log=False)
