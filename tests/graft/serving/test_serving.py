"""The service as a process of its own, asked over loopback."""

import asyncio
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from graft import Classifier, GraftError
from graft.classifier import Prediction
from graft.serving.app import Limits, create_app
from graft.serving.command import main
from graft.serving.workers import Overloaded, Workers
from graft.sources import ContentSource
from tests.conftest import ROOT
from tests.graft.models import write_colour_model

BAD = "not an image in a known format (JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, HEIC, JPEG 2000, PPM, TGA)"


def encoded(*colour: int, size: tuple[int, int] = (20, 10)) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


RED, GREY, LARGE = encoded(200, 0, 0), encoded(90, 90, 90), encoded(0, 0, 200, size=(1200, 1000))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_model(tmp_path_factory.mktemp("model") / "model.onnx")


def start(model: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start the service on a free port and return it with its address."""
    command = [sys.executable, "-m", "graft", "serve", "--model", str(model), "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    match = re.fullmatch(r"graft serve: (http://127\.0\.0\.1:\d+) answers with .*model\.onnx, 3 classes\n", line)
    assert match, line
    return process, match[1]


@pytest.fixture(scope="module")
def service(model: Path) -> Iterator[httpx.Client]:
    process, address = start(model, "--max-megabytes", "1", "--max-images", "3", "--max-megapixels", "2")
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_one_image_is_sent_as_the_body(service: httpx.Client, model: Path) -> None:
    answer = service.post("/predict", content=RED, headers={"content-type": "image/png"})
    [expected] = Classifier(model).stream([ContentSource("image", RED)])
    assert expected.probabilities is not None
    red, green, blue = map(float, expected.probabilities)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "predictions": [
                {
                    "name": "image",
                    "class": "red",
                    "probability": red,
                    "known": expected.known,
                    "is_known": True,
                    "probabilities": {"red": red, "green": green, "blue": blue},
                    "error": None,
                }
            ]
        },
    )


def test_many_images_are_sent_as_a_form_and_answered_in_order(service: httpx.Client) -> None:
    files = [("images", ("<b>.png", GREY)), ("images", ("bad.jpg", b"bad")), ("images", ("large.png", LARGE))]
    answer = service.post("/predict", params={"top": 1}, files=files).json()["predictions"]
    assert [(row["name"], row["class"], row["is_known"], row["error"]) for row in answer] == [
        ("<b>.png", "red", False, None),
        ("bad.jpg", None, None, BAD),
        ("large.png", "blue", True, None),
    ]
    assert [list(row["probabilities"]) for row in answer] == [["red"], [], ["blue"]]


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        pytest.param({}, 422, "there is no image. Send one as the body, or many as the files of a form.", id="empty"),
        pytest.param(
            {"files": {"x": ("", b"")}}, 422, "the form has no files. Send images as its files.", id="no files"
        ),
        pytest.param(
            {"files": [("images", ("a.png", RED))] * 4},
            422,
            "the form cannot be read: Too many files. Maximum number of files is 3.",
            id="many files",
        ),
        pytest.param(
            {"content": bytes(1_000_001)},
            413,
            "the request has more than 1,000,000 bytes. Send fewer or smaller images.",
            id="large",
        ),
        pytest.param(
            {"content": iter([bytes(600_000)] * 2)},
            413,
            "the request has more than 1,000,000 bytes. Send fewer or smaller images.",
            id="large, of unknown length",
        ),
        pytest.param(
            {"content": b"--x--\r\n", "headers": {"content-type": "Multipart/Form-Data; boundary=x"}},
            422,
            "the form has no files. Send images as its files.",
            id="capital letters",
        ),
        pytest.param(
            {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
            422,
            "the form cannot be read: Missing boundary in multipart.",
            id="no boundary",
        ),
    ],
)
def test_a_request_that_cannot_be_used_is_told_why(
    service: httpx.Client, request_: dict[str, Any], status: int, detail: str
) -> None:
    answer = service.post("/predict", **request_)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


def test_a_request_that_announces_too_many_bytes_is_refused_before_they_arrive(service: httpx.Client) -> None:
    with socket.create_connection((service.base_url.host, service.base_url.port or 0), timeout=30) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000001\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_goes_before_its_request_is_whole_is_no_error(model: Path) -> None:
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": []}
    asyncio.run(create_app(Classifier(model), Limits())(scope, receive, send))
    assert answers == []


def test_an_image_with_too_many_pixels_is_refused_by_itself(service: httpx.Client) -> None:
    [answer] = service.post("/predict", content=encoded(0, 0, 0, size=(2001, 1000))).json()["predictions"]
    assert answer["error"] == "2001x1000 pixels are more than 2 megapixels"


def test_a_wrong_number_of_classes_is_named(service: httpx.Client) -> None:
    answer = service.post("/predict", params={"top": 0}, content=RED)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "top"])


def test_hostile_bodies_get_an_answer_each_and_the_service_goes_on(service: httpx.Client) -> None:
    generator = random.Random(0)  # noqa: S311
    statuses = set()
    for _ in range(200):
        body = bytearray(generator.choice([RED, GREY]))
        for _ in range(generator.randint(1, 20)):
            body[generator.randrange(len(body))] = generator.randrange(256)
        body = body[: generator.randint(0, len(body))]
        kind = generator.choice(["image/png", "multipart/form-data; boundary=x", "text/plain", "application/json"])
        statuses.add(service.post("/predict", content=bytes(body), headers={"content-type": kind}).status_code)
    assert statuses == {200, 422}
    assert service.post("/predict", content=RED).json()["predictions"][0]["class"] == "red"


def test_health_readiness_model_and_description_are_told(service: httpx.Client) -> None:
    assert service.get("/health").json() == {"status": "ok"}
    assert service.get("/ready").json() == {"status": "ready", "waiting": 0}
    assert service.get("/model").json()["classes"] == ["red", "green", "blue"]
    assert service.get("/model").json()["metadata"]["novelty"] == {"threshold": 0.5, "false_alarms": 0.05}
    description = service.get("/openapi.json").json()
    assert sorted(description["paths"]) == ["/health", "/model", "/predict", "/ready"]
    page = service.get("/").text
    assert set(re.findall(r"https?://[^/ ']+", page)) == {"http://127.0.0.1:8000"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_that_runs_is_answered_before_the_end(model: Path, number: signal.Signals) -> None:
    process, address = start(model)
    answers: list[int] = []
    files = [("images", (f"{index}.png", LARGE)) for index in range(40)]
    request = threading.Thread(
        target=lambda: answers.append(len(httpx.post(f"{address}/predict", files=files).json()["predictions"]))
    )
    request.start()
    while not httpx.get(f"{address}/ready").json()["waiting"]:
        pass
    process.send_signal(number)
    request.join(30)
    assert (answers, process.wait(30)) == ([40], 0)
    assert process.stderr is not None
    assert process.stderr.read().splitlines()[-1] == "graft serve: ended"


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--max-megabytes", "nan", "a number above 0, found nan"),
        ("--max-megapixels", "-1", "a number above 0, found -1"),
        ("--max-images", "0", "at least 1, found 0"),
        ("--seconds-to-end", "0", "at least 1, found 0"),
    ],
)
def test_a_limit_that_lets_nothing_in_is_refused(
    capsys: pytest.CaptureFixture[str], option: str, value: str, expected: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([option, value])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"graft serve: error: argument {option}: expected {expected}\n")


def test_images_beyond_the_queue_are_refused_at_once(model: Path) -> None:
    started, release = threading.Event(), threading.Event()

    class Slow(Classifier):
        def decode(self, content: bytes) -> Any:
            started.set()
            release.wait()
            return super().decode(content)

    workers = Workers(Slow(model), threads=1, most_waiting=2)
    first = workers.submit([("a", RED)])
    started.wait()
    waiting = workers.submit([("b", RED), ("c", GREY)])
    with pytest.raises(Overloaded):
        workers.submit([("d", RED)])
    release.set()
    results: list[Prediction] = [future.result() for future in first + waiting]
    assert [(row.path, row.label) for row in results] == [("a", "red"), ("b", "red"), ("c", "red")]
    workers.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(lambda _: ["--model", "no.onnx"], "no.onnx cannot be read", id="no model"),
        pytest.param(
            lambda port: ["--port", str(port)],
            "cannot be listened to: the port is in use. Choose another --port, or 0 for any that is free.",
            id="port in use",
        ),
    ],
)
def test_a_service_that_cannot_start_ends_in_one_line(
    service: httpx.Client, model: Path, arguments: Callable[[int | None], list[str]], message: str
) -> None:
    with pytest.raises(GraftError) as caught:
        main(["--model", str(model), *arguments(service.base_url.port)])
    assert message in str(caught.value)
