"""The command line of `graft demo`."""

import argparse
from pathlib import Path

from graft.demo.server import make_server
from graft.demo.similar import TrainingImage
from graft.demo.site import write_site
from graft.predict.command import MODEL
from graft.sources import FileSource, find_images
from tasks.common.errors import GraftError
from tasks.common.progress import say
from tasks.common.text import printable

ACCEPTED = Path("artifacts/validation/accepted.parquet")
PARAMS = Path("params.yaml")

EXAMPLES = """\
examples:
  graft demo
  graft demo --model model.onnx --images photos/ --out site --no-serve
"""


def main(arguments: list[str]) -> None:
    """Make the folder of the page and serve it until Ctrl-C.

    Raises:
        GraftError: The model, the images, the folder or the port cannot be used.
    """
    options = _parse(arguments)
    if options.model is None and not MODEL.exists():
        message = f"{MODEL} is missing. Give the file that `graft train` exported with --model."
        raise GraftError(message)
    images = _named_images(options.images) if options.images else _training_images()
    if not images:
        say("graft demo: without --images, the page shows no similar training images")
    write_site(options.out, options.model or MODEL, images, options.runtime)
    say(f"graft demo: wrote {printable(str(options.out))}, which any static host can serve")
    if options.no_serve:
        return
    with make_server(options.out, options.port) as server:
        host, port = server.server_address[:2]
        say(f"graft demo: open http://{host!s}:{port}/ in a browser; Ctrl-C ends it")
        server.serve_forever()


def _named_images(names: list[str]) -> list[TrainingImage]:
    """Return the image files that the names stand for, each of the class that its folder is named after."""
    files = [source for source in find_images(names).files if isinstance(source, FileSource)]
    return [TrainingImage(source.path, source.path.parent.name, source.name) for source in files]


def _training_images() -> list[TrainingImage]:
    """Return the accepted training images of the repository; none outside one, or in the small installation."""
    if not ACCEPTED.exists() or not PARAMS.exists():
        return []
    try:
        import pyarrow.parquet as pq

        from tasks.common import params
        from tasks.images.sources import image_folder
    except ImportError:
        return []
    folder = image_folder(Path(params.load(PARAMS).dataset.source))
    table = pq.read_table(ACCEPTED, columns=["path", "label"], filters=[("split", "=", "train")])
    return [TrainingImage(folder / row["path"], row["label"], row["path"]) for row in table.to_pylist()]


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="graft demo",
        description="Make a page that runs an exported model in the browser, and serve it on this machine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, metavar="FILE", help=f"exported model (default: {MODEL})")
    parser.add_argument("--out", type=Path, default=Path("graft-demo"), metavar="FOLDER", help="default: %(default)s")
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="IMAGES",
        help="training images to show similar ones of, in class folders (default: those of the repository)",
    )
    parser.add_argument("--runtime", type=Path, metavar="FOLDER", help="the npm package onnxruntime-web")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 for any that is free (default: %(default)s)")
    parser.add_argument("--no-serve", action="store_true", help="only write the folder")
    options = parser.parse_args(arguments)
    if not 0 <= options.port < 2**16:
        parser.error(f"argument --port: expected 0 to 65535, found {options.port}")
    return options
