"""Pages for a browser: `templates/*.html.jinja`, one environment for all of them.

Every value is escaped, since file names are other people's, and a name that is not given is
an error. A page needs nothing outside itself.
"""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from vexpress.tasks.engine.duration import span
from vexpress.tasks.reports.contact_sheets import encode_jpeg
from vexpress.tasks.reports.reasons import explain


def render(template: str, **values: Any) -> str:
    """Return the page of `templates/<template>.html.jinja`."""
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
    }
    text = environment.get_template(f"{template}.html.jinja").render(**values)
    # A name may hold lone surrogates, which no encoding can write.
    return text.encode("utf-8", "replace").decode("utf-8")


def jpeg_uri(picture: Any) -> str:
    """Return uint8 (height, width, 3) BGR as a data URI."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(picture)).decode()}"
