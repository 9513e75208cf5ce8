"""Annotations that are none of ours to read: whose they are, and what that tool can export."""

import pathlib
import re
from typing import NamedTuple

from hierseg_jax.data.prepare.folders import walk_files

_HEAD = 4096
"""Bytes of a file that tell."""
_LOOKED_INTO = 1000
_BOXES = "has boxes alone, and no outlines to learn from"
# Masks of Label Studio's, each of a class, are called after numbers that no picture has.
_OF_BRUSH = re.compile(r"task-\d+-annotation-\d+-.*tag-.*\.png", re.IGNORECASE)
_LABELBOX = "is Labelbox's; convert it to COCO's"


class _Tool(NamedTuple):
    """The suffix of its files, words that stand among their first bytes, and what to do."""

    suffix: str
    marks: tuple[str, ...]
    advice: str


_TOOLS = (
    _Tool(
        ".json",
        ('"annotations"', '"completed_by"'),
        "is Label Studio's; export `COCO` there, or of brushes `Brush labels to COCO`",
    ),
    _Tool(".json", ('"_via_settings"',), "is a project of VIA without a single region"),
    _Tool(".json", ('"data_row"',), _LABELBOX),
    _Tool(".ndjson", ('"data_row"',), _LABELBOX),
    _Tool(".json", ('"segmentation-bitmap"',), "is of Segments.ai; export COCO's there"),
    _Tool(".json", ('"schema_ref"', "darwin"), "is V7's; export COCO's there"),
    _Tool(".json", ('"dm_format_version"',), "is datumaro's; `datum convert` it to COCO's"),
    _Tool(
        ".xml",
        ("<annotation", "<polygon>"),
        "has polygons in XML; export or convert them to COCO's",
    ),
    _Tool(".xml", ("<annotation", "<bndbox>"), _BOXES),
    _Tool(".xml", ("<annotations>", "<box "), _BOXES),
    _Tool(
        ".mat",
        (),
        "is MATLAB's; write the label map in it as PNG (`scipy.io.loadmat`, `cv2.imwrite`)",
    ),
    _Tool(
        ".csv",
        ("EncodedPixels",),
        "has masks as run lengths; write them as PNG, which are paired with their pictures by name",
    ),
)


def about_tools(raw_dir: pathlib.Path) -> str:
    """A sentence behind a space about the first file of another tool in a folder; "" without."""
    for file in walk_files(raw_dir, (".png",))[:_LOOKED_INTO]:
        if _OF_BRUSH.fullmatch(file.name):
            return (
                f" {file.relative_to(raw_dir)} is a brush's mask of Label Studio's, and does not "
                "tell of which picture; export `Brush labels to COCO` there."
            )
    suffixes = sorted({tool.suffix for tool in _TOOLS})
    for file in walk_files(raw_dir, suffixes)[:_LOOKED_INTO]:
        try:
            with file.open("rb") as opened:
                head = opened.read(_HEAD).decode("utf-8", errors="replace")
        except OSError:
            continue
        for tool in _TOOLS:
            if file.suffix.lower() == tool.suffix and all(mark in head for mark in tool.marks):
                return f" {file.relative_to(raw_dir)} {tool.advice}."
    return ""
