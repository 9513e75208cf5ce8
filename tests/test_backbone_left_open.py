"""A config whose model.backbone is None has the network's default backbone, everywhere."""

import jax
import pytest

from hierseg_jax.bridge.export import export_checkpoint
from hierseg_jax.checkpoint.writer import save_checkpoint
from hierseg_jax.models import NETWORKS, Network, create_model, init_variables
from hierseg_jax.models.network import Backbone
from hierseg_jax.settings import Settings
from hierseg_jax.train.initial import initial_weights
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.tiny_network import MEMORY, TinyNet

TREE = Hierarchy.from_mapping([1, 2])


class Choosable(TinyNet):
    backbone: str = ""


CHOOSABLE = Network(
    name="choosable",
    architecture=Choosable,
    heads={"head": 3},
    training_memory=MEMORY,
    backbone=Backbone("the convolution", "conv", lambda path: 0, choices=("small", "large")),
)


def test_pretrained_weights_are_looked_for_of_the_backbone_that_is_built():
    settings = Settings().replace({"model.backbone": None, "model.pretrained": "imagenet"})
    model = create_model("effunet", 3, backbone=settings.model.chosen_backbone)
    assert model.backbone == "b0"
    with pytest.raises(ValueError, match="no package has such weights for the backbone b0"):
        initial_weights(settings, model, TREE)


def test_a_checkpoint_is_exported(tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORKS, "choosable", CHOOSABLE)
    settings = Settings().replace({"model.name": "choosable", "model.backbone": None})
    settings = settings.replace({"data.image_size": 32, "data.spec": "figures"})
    variables = init_variables(create_model("choosable", 3), jax.random.key(0))
    meta = {"config": settings.to_dict(), "hierarchy": TREE.to_json(), "step": 0, "epoch": 0}
    save_checkpoint(tmp_path / "checkpoint", variables, meta | {"val_loss": None})
    export = export_checkpoint(str(tmp_path / "checkpoint"), str(tmp_path / "it.onnx"))
    assert export.difference <= 1e-4
