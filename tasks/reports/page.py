"""Pages for a browser: `templates/*.html.jinja`, one environment for all of them.

All pages extend `base.html.jinja`, which has their look and their Content-Security-Policy. Every
value is escaped, since file names are other people's, and a name that is not given is an error.
"""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from vexpress.tasks.engine.duration import span
from vexpress.tasks.reports.contact_sheets import encode_jpeg
from vexpress.tasks.reports.reasons import explain


def render(template: str, *, root: object, headline: str, **values: Any) -> str:
    """Return the page of `templates/<template>.html.jinja`; `root` is the folder it is about."""
    environment = Environment(
        loader=PackageLoader("vexpress.tasks.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "span": span,
        "jpeg": jpeg_uri,
        "count": "{:,}".format,
        "explain": explain,
        "file": lambda path: Path(path).name,
        "link": link,
    }
    text = environment.get_template(f"{template}.html.jinja").render(
        root=root, headline=headline, **values
    )
    # A name may hold lone surrogates, which no encoding can write.
    return text.encode("utf-8", "replace").decode("utf-8")


def link(name: str) -> str:
    """Return a link to the file `name` beside the page.

    Whatever the name is, the link is relative: `javascript:x` is a file of that name.
    """
    return quote(name.lstrip("/"), errors="replace")


def jpeg_uri(picture: Any) -> str:
    """Return uint8 (height, width, 3) BGR as a data URI."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(picture)).decode()}"
