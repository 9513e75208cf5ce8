"""A network whose predictions show every class, and clearly, however little it was trained."""

import jax
import numpy as np

from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint, save_checkpoint
from hierseg_jax.models import create_model
from hierseg_jax.tree.hierarchy import Hierarchy


def balanced_checkpoint(workdir, images, folder):
    """A run's last checkpoint with other class layers, written to a folder of its own.

    On these pictures every output channel has the median 0 and the deviation 1.

    Args:
      workdir: of a run of esnet_mini.
      images: uint8 [h, w, 3], of the network's size.
      folder: to be made.
    """
    loaded = load_checkpoint(find_checkpoint(workdir, "last"))
    tree = Hierarchy.from_json(loaded.meta["hierarchy"])
    wide = loaded.meta["config"]["model"]["hierarchical"]
    model = create_model("esnet_mini", tree.num_nodes if wide else tree.num_classes)
    variables = jax.tree.map(np.array, loaded.variables)
    batch = np.stack(images).astype(np.float32) / 255
    logits_bhwc = np.asarray(jax.jit(model.apply)(variables, batch))
    middle_c = np.median(logits_bhwc, (0, 1, 2))
    scale_c = 1 / logits_bhwc.std((0, 1, 2))
    last = variables["params"]["decoder"]["output_conv"]
    last["kernel"] = (last["kernel"] * scale_c[:, None]).astype(np.float32)  # [2, 2, C, features]
    last["bias"] = ((last["bias"] - middle_c) * scale_c).astype(np.float32)
    meta = {key: value for key, value in loaded.meta.items() if key != "sha256"}
    save_checkpoint(folder, variables, meta)
    return str(folder)
