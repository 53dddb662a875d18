"""Routes: what is asked where, and what runs beside it while the server is up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fettle.web.desk import Desk
from fettle.web.door import refusal

__all__ = ["application"]


def application(desk: Desk, *, poll_seconds: float, say: Callable[[str], None]) -> Starlette:
    """The application inside the door.

    Args:
        desk: that answers.
        poll_seconds: between two looks at the registry's pointer.
        say: told what an operator should know.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        desk.batcher.start()
        following = asyncio.create_task(desk.champion.follow(poll_seconds))
        following.add_done_callback(lambda task: _tell_end(task, say))
        yield
        following.cancel()
        await desk.batcher.close()

    model = "/v2/models/{name}"
    version = model + "/versions/{number}"
    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/predict", desk.predict, methods=["POST"]),
            Route("/metrics", desk.metrics),
            Route("/openapi.json", desk.document),
            Route("/v2", desk.server),
            Route("/v2/health/live", desk.live),
            Route("/v2/health/ready", desk.ready),
            *(
                Route(f"{path}{what}", endpoint, methods=[method])
                for path in (version, model)
                for what, endpoint, method in (
                    ("", desk.model, "GET"), ("/ready", desk.ready, "GET"),
                    ("/infer", desk.infer, "POST"),
                )
            ),
        ],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = error.detail
    if error.status_code == 404 and sentence == "Not Found":
        sentence = f"Nothing is at {request.url.path[:200]!r}; /openapi.json lists what is."
    if error.status_code == 405:
        sentence = f"{request.method} is not answered at {request.url.path[:200]!r}."
    return refusal(error.status_code, sentence, dict(error.headers or {}))


async def _failed(request: Request, error: Exception) -> Response:
    """Our fault; what it was stands in the server's own output, and not in the answer."""
    return refusal(500, "The server failed at this request; its log says how.")


def _tell_end(task: "asyncio.Task[None]", say: Callable[[str], None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        say(f"The registry is not looked at any more: {error!r}. Start the server again.")
