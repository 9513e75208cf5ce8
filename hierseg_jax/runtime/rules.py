"""What a program in another language has to know, in numbers: plain JSON for the metadata.

`docs/export.md` says what every key means. All of it follows from the names of the rules; nothing
here is read back.
"""

from typing import Any

from hierseg_jax.data.resize import GREY
from hierseg_jax.tree.parsing import IGNORE_LABEL

DECODING_RULES = {
    "leaf": "The first leaf class with the greatest score.",
    "top_down": (
        "A class's score is the sum over its leaf classes. At the coarsest level the first class "
        "with the greatest score is chosen; at every further level the best of its children."
    ),
    "path": "The first leaf class with the greatest score, the mean over its path's nodes.",
    "logic": (
        "The first leaf class with the greatest score, the mean over its path's nodes, once these "
        "have told one another what the hierarchy makes of their scores."
    ),
}


def input_rule(contract: str) -> dict[str, Any]:
    """Of the graph's only input."""
    if contract == "reference":
        name, dtype, layout, greatest = "image", "float32", "NCHW", 1
    else:
        name, dtype, layout, greatest = "frame", "uint8", "NHWC", 255
    return {
        "name": name,
        "dtype": dtype,
        "layout": layout,
        "channels": "RGB",
        "range": [0, greatest],
    }


def resize_rule(rule: str, sampling: str) -> dict[str, Any]:
    """How a picture comes to the network's size, and scores and label maps back to its own."""
    return {
        "rule": rule,
        "pixel_centre": 0.5,
        "to_input": {
            "interpolation": "bilinear",
            "averages_beyond": 2 if sampling == "exact" else None,
            "side_rounding": "half_to_even",
            "least_side": 1,
            "offset_rounding": "down",
            "fill_rgb": [GREY] * 3,
        },
        "to_picture": {
            "interpolates": "log_scores",
            "interpolation": "bilinear",
            "label_map_interpolation": "nearest",
            "unseen_label": IGNORE_LABEL,
        },
    }
