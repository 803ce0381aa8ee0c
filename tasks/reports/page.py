"""Pages for a browser: `templates/*.html.jinja`, one environment for all of them.

All pages extend `base.html.jinja`, which has their look and their Content-Security-Policy. Every
value is escaped, since file names are other people's, and a name that is not given is an error.
Of a path only the name is shown: pages are sent to others.
"""

import base64
import re
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vexpress.tasks.engine.duration import span
from vexpress.tasks.reports.contact_sheets import encode_jpeg
from vexpress.tasks.reports.reasons import explain

FOLDERS = re.compile(r"""(?<![\w:/.])~?/(?:[^/\s,;:"'<>]+/)+(?=[^/\s])""")
"""The folders of a path of this machine within a sentence; no part of a URL."""


def render(template: str, *, root: object, headline: str, **values: Any) -> str:
    """Return the page of `templates/<template>.html.jinja`; `root` is the folder it is about."""
    environment = Environment(
        loader=PackageLoader("vexpress.tasks.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=without_places,
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


def without_places(value: Any) -> Any:
    """Return what is printed of a value: paths of this machine by their names alone."""
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, list | tuple | dict):
        value = str(value)
    if not isinstance(value, str) or isinstance(value, Markup) or value.startswith("data:"):
        return value
    is_path = value.startswith(("/", "~/")) and "\n" not in value
    return PurePath(value).name if is_path else FOLDERS.sub("", value)


def link(name: str) -> str:
    """Return a link to the file `name` beside the page.

    Whatever the name is, the link is relative: `javascript:x` is a file of that name.
    """
    return quote(name.lstrip("/"), errors="replace")


def jpeg_uri(picture: Any) -> str:
    """Return uint8 (height, width, 3) BGR as a data URI."""
    return data_uri(encode_jpeg(picture), "jpeg")


def data_uri(picture: bytes, kind: str) -> str:
    """Return a file of a picture, `jpeg` or `png`, as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
