"""The worked example in docs/export.md labels a picture as the runtime does."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from hierseg_jax.data.picture_labels import log_planes, picture_labels
from hierseg_jax.data.resize import place
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.conftest import ROOT
from tests.test_picture_labels import smooth_logits, softmax

RUN = """
const [file, h, w, H, W, table] = process.argv.slice(1).map((text) => JSON.parse(text));
const bytes = require('fs').readFileSync(file);
const data = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
process.stdout.write(labelMap({ dims: [1, data.length / h / w, h, w], data }, W, H, table));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("level", PASCAL_PERSON_PART.levels, ids=lambda level: level.name)
def test_the_javascript_of_the_docs_labels_as_the_runtime_does(tmp_path, level):
    (script,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.DOTALL)
    planes = log_planes(softmax(smooth_logits(7, 20, 30, 0)))
    planes.tofile(tmp_path / "planes")
    table = level.leaf_to_class.tolist()
    given = [str(tmp_path / "planes"), 20, 30, 77, 91, table]
    done = subprocess.run(
        ["node", "-e", script + RUN, *map(json.dumps, given)], capture_output=True, check=True
    )
    found = np.frombuffer(done.stdout, np.uint8).reshape(77, 91)
    placement = place((77, 91), (20, 30), "stretch")
    leaf = picture_labels(planes, placement, PASCAL_PERSON_PART)
    best = np.sort([placement.restore_scores(plane) for plane in planes], axis=0).astype(int)
    clear = best[-1] - best[-2] > 2  # steps; OpenCV rounds to whole ones
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(found[clear], level.leaf_to_class[leaf][clear])
