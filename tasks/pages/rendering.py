"""Pages from Jinja2 templates: one file that loads nothing from outside, with every text from the data escaped."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.common.files import atomic_file
from tasks.common.text import printable

TEMPLATES = Path(__file__).parent / "templates"
MAX_CHARACTERS = 160


def render(template: Path, **context: object) -> str:
    """Return the HTML of a template file, which may extend `base.html` and import `components.html` of this package.

    Text is escaped, and its invisible characters, such as line ends and those that turn the direction of writing, are
    shown as Python writes them. A name that the context lacks is an error.

    Filters: `number` groups the digits of a number, `clip` shortens a long text in its middle, `tojson` (of Jinja2)
    writes data into a script. A template's script belongs into the block `script`: no other script runs, no `onclick`.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clip": clip, "number": "{:,}".format, "script_hash": _hash_script}
    return environment.get_template(template.name).render(context)


def write_page(file: Path, text: str) -> None:
    """Write a page, completely or not at all; equal texts give equal bytes on every system."""
    with atomic_file(file) as temporary:
        temporary.write_bytes(text.encode())


def clip(text: str, characters: int = MAX_CHARACTERS) -> str:
    """Return a printable text of at most so many characters; the middle of a longer one is left out."""
    text = printable(text)
    if len(text) <= characters:
        return text
    end = characters // 2
    return f"{text[: characters - end - 1]}…{text[-end:]}"


def _finalize(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _hash_script(script: str) -> str:
    return b64encode(sha256(script.encode()).digest()).decode()
