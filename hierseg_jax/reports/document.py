"""A page that needs nothing else: no script, no file beside it; and text that is safe in it."""

import html
import pathlib
from collections.abc import Mapping

# Should a name slip through unescaped, it still loads and runs nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def format_document(
    title: str,
    head: str,
    sections: Mapping[str, tuple[str, str]],
    *,
    skip: str,
    generator: str = "",
) -> str:
    """The whole page.

    Args:
      title: plain text.
      head: HTML that stands under the title, as of `badge_head`, above the links to the sections.
      sections: id -> (heading, HTML), in order; those without HTML are left out.
      skip: plain text of the link that passes over the head.
      generator: plain text by which a program knows its own pages.
    """
    sections = {key: section for key, section in sections.items() if section[1]}
    style = pathlib.Path(__file__).with_name("style.css").read_text()
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, (name, _) in sections.items())
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            *([generator_tag(generator)] if generator else []),
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{escaped(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            f'<a class="skip" href="#main">{escaped(skip)}</a>',
            f"<header>\n<h1>{escaped(title)}</h1>\n{head}\n"
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


def badge_head(file: str, badges: Mapping[str, str]) -> str:
    """What stands under a title: a file or folder, and short texts by the style of each."""
    items = "".join(
        f'<li><span class="badge {kind}">{escaped(text)}</span></li>'
        for text, kind in badges.items()
    )
    return f'<p class="file soft">{escaped(file)}</p>\n<ul class="badges">{items}</ul>'


def generator_tag(generator: str) -> str:
    """The line, among a page's first, that tells which program wrote it."""
    return f'<meta name="generator" content="{escaped(generator)}">'


def printable(text: str) -> str:
    """The text with what a terminal or a page can't show, or would obey, written as escapes.

    Names of files may hold line breaks, terminal codes, and bytes that are no UTF-8.
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def escaped(text: str) -> str:
    """Text of the data's for any place between tags or in a quoted attribute."""
    return html.escape(printable(text))


def breakable(text: str) -> str:
    """As `escaped`, for names of classes and files, which wrap after _ and / at best."""
    return escaped(text).replace("_", "_<wbr>").replace("/", "/<wbr>")
