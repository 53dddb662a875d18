"""The desk: a request's way from its bytes to its answer, and every way in which that can end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from fettle.core.errors import FettleError, InputError, SettingError
from fettle.core.journal import Answered
from fettle.stages.serving import Opened
from fettle.store.decoding import TooManyPixels
from fettle.web import openapi, picturing
from fettle.web.asking import (
    OUTPUTS,
    OUTPUTS_OF_NUMBERS,
    Malformed,
    Question,
    infer_question,
    parsed,
    question,
)
from fettle.web.batching import Asked, Batcher, Busy
from fettle.web.champion import Champion
from fettle.web.diary import Diary
from fettle.web.door import refusal
from fettle.web.holding import Full, Holding, Share, cells_bytes, reading_bytes
from fettle.web.meters import Meters
from fettle.web.telling import Keeping, entries, given, inferred, metadata

__all__ = ["Desk", "Limits"]

DISCARD_TIMES = 16
"""So many times the limit a body that is too large is read on and thrown away, for as long as any
body may take to arrive: a client that is still sending would not see the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may take."""

    body_bytes: int = 2**20
    picture_bytes: int = 10 * 2**20
    """Of the body where the model reads pictures."""
    rows: int = 256
    deadline_seconds: float = 10.0
    """From its head to its answer."""
    read_seconds: float = 10.0
    """For its head to arrive, and for its body."""

    def __post_init__(self) -> None:
        if min(self.rows, self.body_bytes, self.picture_bytes) < 1:
            raise SettingError("--rows, --body-limit and --picture-limit are at least 1.")


@dataclass(frozen=True, slots=True)
class Desk:
    """What every request meets. What one held is given back at the door, once its answer has left.
    """

    champion: Champion
    batcher: Batcher
    meters: Meters
    diary: Diary | None
    keeping: Keeping
    limits: Limits
    holding: Holding = field(default_factory=Holding)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One body is read at a time: that takes many times what it is."""

    async def predict(self, request: Request) -> Response:
        """POST /predict."""
        return await self._asked(request, "predict", question, given)

    async def infer(self, request: Request) -> Response:
        """POST /v2/models/NAME[/versions/N]/infer."""
        has_classes = bool(self.champion.served.task.classes)
        understand = partial(infer_question, known=OUTPUTS if has_classes else OUTPUTS_OF_NUMBERS)
        return await self._asked(request, "infer", understand, inferred)

    def full(self) -> tuple[str, int] | None:
        """Why nothing more can be asked now, and after how many seconds again; counted. None where
        there is room."""
        try:
            self.batcher.require_room()
        except Busy as error:
            self.meters.request("full", 503, 0.0)
            return str(error), int(error.seconds)
        return None

    async def _asked(
        self, request: Request, route: str, understand: Callable[..., Question],
        tell: Callable[..., dict[str, Any]],
    ) -> Response:
        """A request that may be refused before its body is read, and after."""
        request.scope["fettle.route"] = route
        request.scope["fettle.share"] = share = Share(self.holding)
        deadline = monotonic() + self.limits.deadline_seconds
        try:
            model = self.champion.served
            self._require_served(request)
            self.batcher.require_room()  # before the body is read: refusing must be cheap
            asks = await self._understood(request, model, understand)
            share.hold(cells_bytes(asks.fields))
            asked = self.batcher.ask(model, asks.fields, deadline)
        except Busy as error:
            return refusal(503, str(error), {"retry-after": f"{error.seconds:.0f}"})
        except Full as error:
            return refusal(503, str(error), {"retry-after": "1", "connection": "close"})
        except Malformed as error:
            return refusal(400, str(error))
        except TooManyPixels as error:
            return refusal(413, str(error))
        except FettleError as error:
            return refusal(422, str(error))
        except ClientDisconnect:
            return Response(status_code=499)  # to nobody; the meters show it
        response = await self._answered(request, asked, asks, tell)
        share.take(len(response.body))  # a client may be slow to read it
        return response

    async def _understood(
        self, request: Request, model: Opened, understand: Callable[..., Question]
    ) -> Question:
        """What the body asks. Pictures are looked at on another thread: there are megabytes."""
        kind = request.headers.get("content-type", "")
        is_bytes = picturing.holds_pictures(kind)
        are_asked = model.schema.modality == "image"
        if is_bytes and not are_asked:
            raise HTTPException(415, f"{model.id} reads texts: send JSON.")
        if is_bytes and understand is not question:
            raise HTTPException(415, "This protocol takes JSON: a BYTES tensor of base64 texts.")
        limits = self.limits
        body = await self._body(request, limits.picture_bytes if are_asked else limits.body_bytes)

        def read() -> Question:
            if is_bytes:
                return picturing.pictures_in(kind, body, most_rows=limits.rows)
            asks = understand(parsed(body), model.encoder.fields, most_rows=limits.rows)
            return picturing.as_cells(asks) if are_asked else asks

        async with self.reading:
            request.scope["fettle.share"].hold(reading_bytes(body, are_pictures=is_bytes))
            return await asyncio.to_thread(read) if are_asked else read()

    async def _answered(
        self, request: Request, asked: Asked, asks: Question,
        tell: Callable[..., dict[str, Any]],
    ) -> Response:
        """The answer; none where the client went away, or the deadline passed."""
        gone = asyncio.ensure_future(_disconnected(request))
        either: set[asyncio.Future[Any]] = {asked.answered, gone}
        try:
            await asyncio.wait(
                either, timeout=max(asked.deadline - monotonic(), 0),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if not asked.answered.done():
                self.batcher.drop(asked)
            gone.cancel()
        if asked.answered.done():
            try:
                answers = entries(asked.answered.result(), self.keeping)
            except InputError as error:  # a cell that cannot be read, such as half a picture
                return refusal(422, str(error))
            self._note(answers)
            headers = {"x-fettle-version": asked.model.id}
            return JSONResponse(tell(asked.model, answers, asks), headers=headers)
        if gone.done() and not gone.cancelled():
            return Response(status_code=499)
        return refusal(
            504, f"No answer within {self.limits.deadline_seconds:g} s: the rows wait behind "
            "others. What of them was not begun is not done. Ask again, or fewer rows at once."
        )

    def _note(self, answers: list[Answered]) -> None:
        if self.diary is not None:
            self.diary.note(answers)

    async def _body(self, request: Request, most: int) -> bytes:
        """The whole body, counted while it arrives."""
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise HTTPException(415, "Compressed bodies are not read. Send it as it is.")
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > most:
            if "expect" not in request.headers:  # else nothing was sent yet
                await self._discard(request, most)
            raise _too_large(most)
        chunks, size, share = [], 0, request.scope["fettle.share"]
        try:
            async with asyncio.timeout(self.limits.read_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > most:
                        break
                    share.hold(size)
                    chunks.append(chunk)
        except TimeoutError:
            raise HTTPException(
                408, f"The body did not arrive within {self.limits.read_seconds:g} s.",
                {"connection": "close"},
            ) from None
        if size > most:
            await self._discard(request, most)
            raise _too_large(most)
        return b"".join(chunks)

    async def _discard(self, request: Request, limit: int) -> None:
        """Read on for a little, and keep nothing."""
        size, most = 0, limit * DISCARD_TIMES
        read: Callable[[], Awaitable[Any]] = request.receive
        with suppress(TimeoutError):
            async with asyncio.timeout(self.limits.read_seconds):
                while size < most:
                    message = await read()
                    size += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return

    async def live(self, request: Request) -> Response:
        """GET /v2/health/live: the process answers, and so does its model's thread."""
        request.scope["fettle.route"] = "health"
        if not self.batcher.is_alive:
            return refusal(503, "The model's thread has ended. Start the server again.")
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """GET /v2/health/ready, and of a model: a version is there that has shown that it answers.
        """
        request.scope["fettle.route"] = "health"
        self._require_served(request)
        return JSONResponse({"ready": True, "version": self.champion.served.id})

    async def server(self, request: Request) -> Response:
        """GET /v2: what this is."""
        from importlib.metadata import version

        request.scope["fettle.route"] = "metadata"
        return JSONResponse({"name": "fettle", "version": version("fettle"), "extensions": []})

    async def model(self, request: Request) -> Response:
        """GET /v2/models/NAME[/versions/N]: inputs, outputs, classes."""
        request.scope["fettle.route"] = "metadata"
        self._require_served(request)
        told = metadata(self.champion.served)
        if self.champion.kept_out:
            told["parameters"]["kept_out"] = self.champion.kept_out
        return JSONResponse(told)

    async def metrics(self, request: Request) -> Response:
        """GET /metrics."""
        request.scope["fettle.route"] = "metrics"
        content = await asyncio.to_thread(self.meters.text, self.champion.served.id)
        return Response(content, media_type=self.meters.content_type)

    async def document(self, request: Request) -> Response:
        """GET /openapi.json."""
        request.scope["fettle.route"] = "openapi"
        return JSONResponse(openapi.document(self.champion.served, self.limits.rows))

    def _require_served(self, request: Request) -> None:
        """Stop a request for a model or a version that does not answer here."""
        asked = request.path_params
        name, number = self.champion.name, self.champion.number
        if asked.get("name", name) != name or asked.get("number", number) != number:
            wanted = "@".join(str(asked[key])[:100] for key in ("name", "number") if key in asked)
            raise HTTPException(404, f"{wanted} is not served here; {name}@{number} is.")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _too_large(most: int) -> HTTPException:
    return HTTPException(
        413, f"The body is larger than {most:,} bytes. Ask in several requests; "
        "`fettle predict --input FILE` answers a whole file.", {"connection": "close"},
    )
