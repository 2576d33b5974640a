"""The command line of `graft demo`."""

import argparse
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from graft.arguments import port
from graft.classifier import Classifier
from graft.demo.server import make_server
from graft.demo.site import check_target, write_site
from graft.demo.training_images import ACCEPTED, TrainingImage, accepted_images, named_images
from graft.predict.command import MODEL
from tasks.common.errors import GraftError
from tasks.common.progress import say
from tasks.common.text import count, printable

EXAMPLES = """\
examples:
  graft demo
  graft demo --model model.onnx --images photos/ --out site --no-serve
  graft demo --no-training-images --out public --no-serve
  graft demo --port 0
"""


def main(arguments: list[str]) -> None:
    """Make the folder of the page and serve it until Ctrl-C.

    Raises:
        GraftError: The model, the images, the folder or the port cannot be used.
    """
    options = make_parser().parse_args(arguments)
    if options.model is None and not MODEL.exists():
        message = f"{MODEL} is missing. Give the file that `graft train` exported with --model."
        raise GraftError(message)
    model = options.model or MODEL
    shown = printable(str(options.out))
    check_target(options.out)
    with ExitStack() as stack:
        # Before the work, so that a port in use is reported at once.
        server = None if options.no_serve else stack.enter_context(make_server(options.out, options.port))
        classifier = Classifier(model)
        images = _training_images(classifier, options)
        thumbnails = write_site(options.out, model, classifier, images, options.runtime)
        content = f", with thumbnails of {count(thumbnails, 'training image')}" if thumbnails else ""
        say(f"graft demo: wrote {shown}{content}; any static host can serve it")
        if thumbnails and not options.images:
            say("graft demo: whoever gets the folder sees these images; --no-training-images leaves them out")
        if server is not None:
            host, port = server.server_address[:2]
            say(f"graft demo: open http://{host!s}:{port}/ in a browser; Ctrl-C ends it")
            server.serve_forever()


def _training_images(classifier: Classifier, options: argparse.Namespace) -> list[TrainingImage]:
    if options.no_training_images:
        return []
    return named_images(options.images) if options.images else _images_of_repository(classifier)


def _images_of_repository(classifier: Classifier) -> list[TrainingImage]:
    """Return the accepted training images of the repository; if there are none to show, say why."""
    reason = f"{ACCEPTED} is missing"
    if ACCEPTED.exists():
        try:
            images = accepted_images(ACCEPTED)
            # Raises for a file of an earlier Graft, which has no features.
            classifier.run(np.zeros((1, 1, 1, 3), np.uint8), features=True)
        except GraftError as error:
            reason = str(error).rstrip(".")
        else:
            return images
    say(f"graft demo: the page shows no similar training images: {reason}. --images names some")
    return []


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="graft demo",
        description="Make a page that runs an exported model in the browser, and serve it on this machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, metavar="FILE", help=f"exported model (default: {MODEL})")
    parser.add_argument("--out", type=Path, default=Path("graft-demo"), metavar="FOLDER", help="default: %(default)s")
    training = parser.add_mutually_exclusive_group()
    training.add_argument(
        "--images",
        nargs="+",
        metavar="FOLDER_OR_PARQUET",
        help="training images to show similar ones of: class folders, or accepted.parquet (default: the repository's)",
    )
    training.add_argument(
        "--no-training-images", action="store_true", help="show no training images: the folder holds the model alone"
    )
    parser.add_argument("--runtime", type=Path, metavar="FOLDER", help="the npm package onnxruntime-web")
    parser.add_argument("--port", type=port, default=8080, help="port; 0 for any that is free (default: %(default)s)")
    parser.add_argument("--no-serve", action="store_true", help="only write the folder")
    return parser
