"""A report as one HTML document that needs nothing else: no script, no file beside it."""

import html
import pathlib
from collections.abc import Mapping

from hierseg_jax.inspection.findings import printable

# Should a name slip through unescaped, it still loads and runs nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def format_document(
    title: str, below_title: str, sections: Mapping[str, tuple[str, str]], skip: str
) -> str:
    """The whole document, in the style of page.css.

    Args:
      title: escaped.
      below_title: HTML, as from `head`.
      sections: name and HTML of each by its anchor; those without HTML are left out.
      skip: what the link to the first section says, for keyboards.
    """
    sections = {key: section for key, section in sections.items() if section[1]}
    style = pathlib.Path(__file__).with_name("page.css").read_text()
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, (name, _) in sections.items())
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            f'<a class="skip" href="#main">{skip}</a>',
            f"<header>\n<h1>{title}</h1>\n{below_title}\n"
            f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n</header>',
            '<main id="main">',
            *(
                f'<section aria-labelledby="{key}">\n<h2 id="{key}">{name}</h2>\n'
                f"{content}\n</section>"
                for key, (name, content) in sections.items()
            ),
            "</main>\n</body>\n</html>\n",
        ]
    )


def head(file: str, badges: Mapping[str, str]) -> str:
    """What stands below the title: the file or folder, and short texts by the class of each."""
    items = "".join(
        f'<li><span class="badge {kind}">{escaped(text)}</span></li>'
        for text, kind in badges.items()
    )
    return f'<p class="file soft">{escaped(file)}</p>\n<ul class="badges">{items}</ul>'


def escaped(text: str) -> str:
    """Text of the user's for any place between tags or in a quoted attribute."""
    return html.escape(printable(text))


def breakable(text: str) -> str:
    """As `escaped`, for names of classes, keys and files, which wrap after _ and / at best."""
    return escaped(text).replace("_", "_<wbr>").replace("/", "/<wbr>")
