"""The command line of `graft serve`."""

import argparse
import errno
import json
import signal
import socket
from ipaddress import ip_address
from pathlib import Path

from graft.arguments import port, positive, positive_number
from graft.classifier import Classifier
from graft.predict.command import MODEL
from graft.serving.deployments import kserve_manifest, write_triton
from tasks.common.errors import GraftError
from tasks.common.progress import say
from tasks.common.text import count, printable

LOOPBACK = "127.0.0.1"
PRIVILEGED = 1024
BACKLOG = 2048

EXAMPLES = """\
examples:
  graft serve
  graft serve --model model.onnx --port 9000
  curl --data-binary @photo.jpg -H 'content-type: image/jpeg' http://127.0.0.1:8000/predict
"""


def main(arguments: list[str]) -> None:
    """Serve a model until the process is interrupted; requests that run are answered first.

    Raises:
        GraftError: The model cannot be used, the port is in use, or the extra `serve` is not installed.
    """
    options = make_parser().parse_args(arguments)
    if options.model is None and not MODEL.exists():
        message = f"{MODEL} is missing. Give the file that `graft train` exported with --model."
        raise GraftError(message)
    model = options.model or MODEL
    if options.triton is not None:
        write_triton(model, options.triton)
        say(f"graft serve: wrote a model repository for Triton, {printable(str(options.triton))}")
    elif options.kserve is not None:
        print(json.dumps(kserve_manifest(options.kserve), indent=2))
    else:
        _serve(model, options)


def _serve(model: Path, options: argparse.Namespace) -> None:
    try:
        import uvicorn

        from graft.serving.app import Limits, create_app
    except ImportError as error:
        message = f"graft serve needs {error.name}: pip install 'graft[serve]'."
        raise GraftError(message) from error
    classifier = Classifier(model, max_megapixels=options.max_megapixels)
    limits = Limits(most_bytes=int(options.max_megabytes * 1e6), most_images=options.max_images)
    server_socket = _bind(options.host, options.port)
    config = uvicorn.Config(
        create_app(classifier, limits), log_level="warning", timeout_graceful_shutdown=options.seconds_to_end
    )
    host, port = server_socket.getsockname()[:2]
    classes = count(len(classifier.classes), "class", "classes")
    shown = f"[{host}]" if ":" in host else host
    say(f"graft serve: http://{shown}:{port} answers with {printable(str(model))}, {classes}")
    if not ip_address(host).is_loopback:
        say("graft serve: everybody who reaches this address can use the model; nobody is asked who they are")
    # The server ends on these signals by itself, and then raises them once more.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    with server_socket:
        uvicorn.Server(config).run(sockets=[server_socket])
    say("graft serve: ended")


def _bind(host: str, port: int) -> socket.socket:
    # Only for a socket that names its protocol does asyncio send small answers at once, instead of 40 ms later.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server_socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server_socket.bind((host, port))
        server_socket.listen(BACKLOG)  # so that clients may connect as soon as the address is printed
    except OSError as error:
        server_socket.close()
        reasons = {
            errno.EADDRINUSE: "the port is in use. Choose another --port, or 0 for any that is free",
            errno.EACCES: f"ports below {PRIVILEGED} need more rights. Choose another --port",
        }
        reason = reasons.get(error.errno or 0, f"{error.strerror}. Choose another --host")
        message = f"{host}:{port} cannot be listened to: {reason}."
        raise GraftError(message) from error
    return server_socket


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="graft serve",
        description="Serve an exported model over HTTP, for programs on this machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, metavar="FILE", help=f"exported model (default: {MODEL})")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen to (default: %(default)s)")
    parser.add_argument("--port", type=port, default=8000, help="port; 0 for any that is free (default: %(default)s)")
    parser.add_argument("--max-megabytes", type=positive_number, default=64, help="of a request (default: %(default)s)")
    parser.add_argument("--max-images", type=positive, default=64, help="of a request (default: %(default)s)")
    parser.add_argument("--max-megapixels", type=positive_number, default=50, help="of an image (default: %(default)s)")
    parser.add_argument(
        "--seconds-to-end", type=positive, default=10, help="for requests that run at the end (default: %(default)s)"
    )
    elsewhere = parser.add_mutually_exclusive_group()
    elsewhere.add_argument(
        "--triton", type=Path, metavar="FOLDER", help="write a model repository for Triton instead of serving"
    )
    elsewhere.add_argument(
        "--kserve", metavar="URI", help="print the manifest for KServe, with the repository at this URI, instead"
    )
    return parser
