"""The Prefect server of a run: the configured one, or else a temporary one that ends with the run.

`python -m flows.server` is the temporary server. It prints its port once it answers, and ends at the end of its
standard input. The run holds the other end of that pipe, so the server ends with it, even if the run is killed.
"""

import atexit
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, cast

from tasks.common.errors import GraftError

SECONDS_TO_NOTICE = 5.0
SECONDS_TO_END = 5.0
SERVER_ENVIRONMENT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
REMEDY = (
    "Run the stages without Prefect with `dvc repro`, or start a server with `prefect server start` and set "
    "PREFECT_API_URL."
)


def connect(on_wait: Callable[[str], None]) -> None:
    """Check that the configured Prefect server answers, or start a temporary one if none is configured.

    `on_wait` is called if that takes more than a few seconds. Raises GraftError if no server answers.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url is not None:
        _check(settings.api.url)
        return
    port = _start(settings.server.ephemeral.startup_timeout_seconds, on_wait)
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    refresh_global_settings_context()


def _check(address: str) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        trouble = client.api_healthcheck()
    if trouble is not None:
        message = (
            f"the Prefect server {address} does not answer. Start it with `prefect server start`, or unset "
            "PREFECT_API_URL to run with a temporary one."
        )
        raise GraftError(message) from trouble


def _start(patience: float, on_wait: Callable[[str], None]) -> int:
    """Start the temporary server and return its port once it answers; `patience` is the limit in seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.server"],
        env=os.environ | SERVER_ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C reaches every process of the terminal's group. The server must outlive it, so that the run can report
        # its interruption.
        start_new_session=True,
    )
    # Functions registered later run earlier: Prefect sends its last logs and events before the server ends.
    atexit.register(_stop, process)
    output = cast("IO[bytes]", process.stdout)
    notice = min(SECONDS_TO_NOTICE, patience)
    if not _readable(output, notice):
        on_wait(f"waiting for Prefect's temporary server to answer ({patience:g} s at most)")
        if not _readable(output, patience - notice):
            message = f"Prefect's temporary server did not answer within {patience:g} s. {REMEDY}"
            raise GraftError(message)
    line = output.readline()
    if not line:
        message = f"Prefect's temporary server ended with exit code {process.wait()} before it answered. {REMEDY}"
        raise GraftError(message)
    return int(line)


def _readable(output: IO[bytes], seconds: float) -> bool:
    return bool(select.select([output], [], [], seconds)[0])


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(2 * SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve() -> None:
    """Run a Prefect server on a free port of the loopback interface until standard input ends."""
    import uvicorn

    class AnnouncingServer(uvicorn.Server):
        """A server that prints its port once it answers."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and sockets:
                print(sockets[0].getsockname()[1], flush=True)
                # Nobody reads the pipe from here on: more output would fill it and block the server.
                os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, host="127.0.0.1", port=0, log_level="error", lifespan="on"
    )
    server = AnnouncingServer(config)

    def end_with_standard_input() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        if not server.started:
            os._exit(1)
        server.should_exit = True
        time.sleep(SECONDS_TO_END)
        os._exit(1)

    threading.Thread(target=end_with_standard_input, daemon=True).start()
    server.run(sockets=[config.bind_socket()])


if __name__ == "__main__":
    _serve()
