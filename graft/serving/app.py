"""The HTTP service: images in, predictions out."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, NamedTuple

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as FormError

from graft.classifier import Classifier, Prediction
from graft.predict.formats import ranked
from graft.serving.limits import BodyLimit
from graft.serving.page import PAGE
from graft.serving.workers import Overloaded, Workers
from tasks.common.threads import available_cores


class Limits(NamedTuple):
    """The limits of the service: bytes and images of a request, and images that wait for a worker."""

    most_bytes: int = 64_000_000
    most_images: int = 64
    most_waiting: int = 512


class ImageAnswer(BaseModel):
    """The prediction for one image, or the reason why there is none."""

    name: str = Field(description="name of the file as it was sent")
    label: str | None = Field(None, serialization_alias="class", description="most probable class")
    probability: float | None = Field(None, description="of that class, calibrated")
    known: float | None = Field(None, description="how much the image resembles the training images, in [0, 1]")
    is_known: bool | None = Field(None, description="false: the model does not know such pictures")
    probabilities: dict[str, float] = Field({}, description="of the most probable classes, the best first")
    error: str | None = Field(None, description="reason why the image cannot be used")


class Answer(BaseModel):
    """The predictions for the images of a request, in their order."""

    predictions: list[ImageAnswer]


class ReadyAnswer(BaseModel):
    """The state of the service."""

    status: str
    waiting: int = Field(description="images that wait for a worker")


class ModelAnswer(BaseModel):
    """The facts that the model states about itself."""

    classes: list[str]
    metadata: dict[str, Any]


BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"images": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
        },
    }
}


def create_app(classifier: Classifier, limits: Limits) -> FastAPI:
    """Return the service for a classifier."""

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        app.state.workers = Workers(classifier, available_cores(), limits.most_waiting)
        yield
        app.state.workers.close()

    # FastAPI's own pages load their scripts from the internet.
    app = FastAPI(title="Graft", summary="An exported image classifier", lifespan=run, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, most_bytes=limits.most_bytes)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE)

    @app.get("/health", summary="The process is alive")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready", summary="The model is loaded and images can be sent")
    async def ready(request: Request) -> ReadyAnswer:
        if not hasattr(request.app.state, "workers"):
            raise HTTPException(503, "the workers have not started yet")
        return ReadyAnswer(status="ready", waiting=request.app.state.workers.waiting)

    @app.get("/model", summary="The facts that the model states about itself")
    async def model() -> ModelAnswer:
        facts = vars(classifier.metadata) | {}
        return ModelAnswer(classes=facts.pop("classes"), metadata=facts)

    @app.post("/predict", summary="Classify one image or many", openapi_extra=BODY)
    async def predict(request: Request, top: Annotated[int, Query(ge=1, description="classes to name")] = 5) -> Answer:
        images = await _read_images(request, limits)
        try:
            futures = request.app.state.workers.submit(images)
        except Overloaded:
            detail = "too many images wait. Try again in a second."
            raise HTTPException(503, detail, headers={"Retry-After": "1"}) from None
        predictions = await asyncio.gather(*map(asyncio.wrap_future, futures))
        return Answer(predictions=[_answer(prediction, classifier.classes, top) for prediction in predictions])

    return app


async def _read_images(request: Request, limits: Limits) -> list[tuple[str, bytes]]:
    """Return the images of a request by name and content: its body, or the files of a form."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        content = await request.body()
        if not content:
            raise HTTPException(422, "there is no image. Send one as the body, or many as the files of a form.")
        return [("image", content)]
    try:
        async with request.form(max_files=limits.most_images) as form:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            images = [(file.filename or "image", await file.read()) for file in files]
    except FormError as error:
        raise HTTPException(422, f"the form cannot be read: {error.detail}") from error
    if not images:
        raise HTTPException(422, "the form has no files. Send images as its files.")
    return images


def _answer(prediction: Prediction, classes: Sequence[str], top: int) -> ImageAnswer:
    return ImageAnswer(
        name=prediction.path,
        label=prediction.label,
        probability=prediction.probability,
        known=prediction.known,
        is_known=prediction.is_known,
        probabilities=dict(ranked(prediction, classes, top)),
        error=prediction.error,
    )
