"""Makes Data Docs a site that loads nothing from outside.

Great Expectations' pages ask content networks for their style sheets and scripts. Those that the pages need lie in the
folder `libraries`, with their licences: bootstrap 4.3.1, bootstrap-table 1.19.1 and jquery 3.7.1 (MIT), and
bootstrap-datepicker 1.9.0 (Apache-2.0), as in their npm packages. Icons become signs. Left out are scripts for charts,
which these pages do not have, pictures and fonts that no page shows (4 MB), the newsletter, and colours for the dark,
which suit another style sheet.
"""

import re
import shutil
from pathlib import Path

LIBRARIES = Path(__file__).parent / "libraries"
FOLDER = "static/libraries"
LOGO = "static/images/logo-long.png"
STYLES = [
    "bootstrap.min.css",
    "bootstrap-table.min.css",
    "bootstrap-table-filter-control.min.css",
    "bootstrap-datepicker.min.css",
]
# In the order in which they need each other.
SCRIPTS = [
    "jquery.min.js",
    "bootstrap.bundle.min.js",
    "bootstrap-table.min.js",
    "bootstrap-table-filter-control.min.js",
    "bootstrap-datepicker.min.js",
]
OWN_STYLE = """<style>
footer { display: none !important; }
.fa, .fas { font-style: normal; }
.fa-check-circle::before { content: "\\2713"; }
.fa-times::before { content: "\\2717"; }
.fa-exclamation-triangle::before { content: "!"; }
.fa-question-circle::before { content: "?"; }
.fa-trash::before { content: "\\2715"; }
</style>"""

# The icon of a page that lies deep in the site is looked for at a wrong place.
UNUSABLE_TAG = re.compile(
    r"<link[^>]*href=\"https?://[^>]*>|<link rel=\"shortcut icon\"[^>]*>|<script[^>]*src=\"https?://[^>]*>\s*</script>"
)
LOGO_ELSEWHERE = re.compile(r"https?://great-expectations-web-assets[^\"')]*")
DARK = "@media (prefers-color-scheme: dark)"


def make_offline(site: Path) -> None:
    """Copy the libraries into the site in the folder `site`, and let its pages load these and the logo alone."""
    logo = (site / LOGO).read_bytes()
    shutil.rmtree(site / "static")
    target = site / FOLDER
    target.mkdir(parents=True)
    (site / LOGO).parent.mkdir()
    (site / LOGO).write_bytes(logo)
    for name in (*STYLES, *SCRIPTS):
        shutil.copyfile(LIBRARIES / name, target / name)
    for page in sorted(site.rglob("*.html")):
        root = "../" * (len(page.relative_to(site).parts) - 1)
        page.write_text(_rewrite(page.read_text(encoding="utf-8"), root), encoding="utf-8")


def _rewrite(text: str, root: str) -> str:
    """Return a page with local style sheets and scripts; `root` leads from it to the root of the site."""
    styles = [f'<link rel="stylesheet" href="{root}{FOLDER}/{name}">' for name in STYLES]
    scripts = [f'<script src="{root}{FOLDER}/{name}"></script>' for name in SCRIPTS]
    text = LOGO_ELSEWHERE.sub(f"{root}{LOGO}", UNUSABLE_TAG.sub("", text)).replace(DARK, "@media not all")
    return re.sub(r"<head>", lambda _: "\n".join(["<head>", *styles, OWN_STYLE, *scripts]), text, count=1)
