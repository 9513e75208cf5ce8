"""Reads pages as a browser would, and refuses what a report must not have."""

import html.parser

VOID = {"meta", "img", "br", "link", "hr", "input", "wbr"}


class Page(html.parser.HTMLParser):
    """Tags, balanced, with their attributes; and the rows of tables."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text, self.rows = [], [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def assert_stands_alone(page):
    """No script, nothing from elsewhere, every picture described, every link inside the page."""
    names = {tag for tag, _ in page.tags}
    assert names.isdisjoint({"script", "link", "iframe", "object", "base", "form"})
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert "url(" not in attributes.get("style", "")
        if tag == "img":
            assert attributes["src"].startswith("data:image/")
            assert attributes["alt"]
        if "href" in attributes:
            assert attributes["href"][0] == "#"
            assert attributes["href"][1:] in ids
    policies = [
        attributes["content"]
        for tag, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
