"""What is put into a page's template is text, whatever it holds."""

import os
from pathlib import Path

import jinja2
import pytest

from hierseg_jax.reports.inline_pictures import Picture
from hierseg_jax.reports.templates import _environment, render
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.webpages import Page, assert_stands_alone

HOSTILE = "</style>\"'><script>alert(1)</script>&amp;\n\x1b[2J\u202e" + os.fsdecode(b"\xff")
SHOWN = "</style>\"'><script>alert(1)</script>&amp;\\n\\x1b[2J\\u202e\\udcff"
PAGE = """\
{% extends "reports/frame.html" %}
{% import "reports/parts.html" as parts %}
{% set head = parts.badge_head(path, [(text, "note")]) %}
{% set content %}
{{ parts.class_name("#000000", text) }}{{ parts.legend(level) }}{{ parts.pictures([picture]) }}
{{ parts.command(["a", text]) }}{% call parts.scroll(text) %}{{ text|breakable }}{% endcall %}
{{ "a " ~ text }}{{ [text]|join }}<p title="{{ text }}"></p>
{{ text|with_code }}{{ ("a `" ~ text ~ "` b")|with_code }}
{% endset %}
{% set sections = [("one", text, content), ("none", text, "")] %}
"""


@pytest.fixture(scope="module")
def page():
    """Of a template that puts a hostile text wherever the shared pieces take one."""
    level = Hierarchy.from_mapping([1], ["background", "<b>&"], ["<i>"]).levels[0]
    picture = Picture("data:image/png;base64,", HOSTILE, HOSTILE)
    values = {"text": HOSTILE, "path": Path(HOSTILE), "level": level, "picture": picture}
    return _environment().from_string(PAGE).render(title=HOSTILE, skip=HOSTILE, **values)


def test_no_text_becomes_a_tag_or_is_obeyed(page):
    read = Page(page)
    assert_stands_alone(read)
    tags = {tag for tag, _ in read.tags}
    assert tags.isdisjoint({"b", "i", "script"})
    assert page.count("</style>") == 1
    assert all(letter.isprintable() or letter == "\n" for letter in page)
    page.encode()  # no half of a surrogate pair is left
    # Title twice, link, heading twice, head twice, class, picture, command, box, last lines twice.
    assert read.text.count(SHOWN) == 15
    assert [of["title"] for _, of in read.tags if "title" in of] == [SHOWN]


def test_a_section_without_content_is_left_out(page):
    assert [of["id"] for tag, of in Page(page).tags if tag == "h2"] == ["one"]


def test_a_value_that_is_not_given_is_a_mistake():
    with pytest.raises(jinja2.UndefinedError):
        render("reports/frame.html", title="a", sections=[])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no code & none", "no code &amp; none"),
        ("`a < b`", "<code>a &lt; b</code>"),
        (
            "write `labels: {0: a}` and `b` there",
            "write <code>labels: {0: a}</code> and <code>b</code> there",
        ),
        ("a file `b", "a file `b"),
    ],
)
def test_code_in_a_sentence_stands_between_backticks(text, shown):
    assert _environment().from_string("{{ text|with_code }}").render(text=text) == shown
