"""Jinja templates of the pages, which lie beside the code that fills them.

Whatever is put into one is escaped, and first made printable.
"""

import functools
import re
from typing import Any

import jinja2
from markupsafe import Markup, escape

from hierseg_jax.system.wording import counted, level_called, printable
from hierseg_jax.tree.colors import css_color


def render(template: str, **values: Any) -> str:
    """A template with its values, as HTML.

    Args:
      template: path in this package, as `reports/frame.html`.
      values: text in them is plain, but where the template says `|safe`: that is of `render`.
    """
    return _environment().get_template(template).render(values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hierseg_jax", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "breakable": _breakable,
        "counted": counted,
        "css_color": css_color,
        "level_called": level_called,
        "with_code": _with_code,
    }
    return environment


def _printable(value: Any) -> str:
    return value if isinstance(value, Markup) else printable(str(value))


def _breakable(text: Any) -> Markup:
    """For names of classes and files, which wrap after _ and / at best."""
    name = escape(_printable(text))
    return name.replace("_", Markup("_<wbr>")).replace("/", Markup("/<wbr>"))


def _with_code(text: Any) -> Markup:
    """For sentences, in which `code` stands between backticks."""
    plain, *others = re.split("`([^`]+)`", _printable(text))
    marked = escape(plain)
    for code, after in zip(others[::2], others[1::2], strict=True):
        marked += Markup("<code>{}</code>{}").format(code, after)
    return marked
