"""An export is compared on the CPU in full float32, whatever a process trains on."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from hierseg_jax.bridge.contracts import Graph
from hierseg_jax.bridge.verify import largest_difference
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.conftest import ROOT

TREE = Hierarchy.from_mapping([1, 2])
KERNEL = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)


class Watched:
    """A network of one product, which notes how it is computed."""

    def __init__(self):
        self.precisions, self.devices = [], []
        self.matmul_precision, self.dtype, self.conv_impl = "default", jnp.float32, "xla"

    def apply(self, variables, image_nhwc):
        (product,) = jax.make_jaxpr(jnp.matmul)(image_nhwc, variables["kernel"]).eqns
        self.precisions.append(product.params["precision"])
        self.devices.append(jax.config.jax_default_device)
        return image_nhwc @ variables["kernel"]


def compare(network, variables):
    """Both of them by `largest_difference`: the network's graph is written by hand."""
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["mask"], axis=1),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8])
        for name in ("image", "mask")
    ]
    kernel = numpy_helper.from_array(KERNEL.T[:, :, None, None].copy(), "kernel")
    onnx_graph = helper.make_graph(nodes, "g", values[:1], values[1:], [kernel])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(onnx_graph, opset_imports=opsets, ir_version=8).SerializeToString()
    graph = Graph(lambda x: (x,), "image", np.float32, False, ("mask",))
    photo = np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8)
    return largest_difference(model, graph, network, variables, TREE, [photo], [(1, 8, 8)])


def test_products_are_in_full_float32_where_the_process_asks_for_bfloat16():
    network = Watched()
    with jax.default_matmul_precision("bfloat16"):
        assert compare(network, {"kernel": KERNEL}) < 1e-5
    highest = jax.lax.Precision.HIGHEST
    assert set(network.precisions) == {(highest, highest)}


def on_another_device():
    """Run where JAX sees two devices and takes the second one by default."""
    first, second = jax.devices()
    jax.config.update("jax_default_device", second)
    network = Watched()
    variables = {"kernel": jax.device_put(KERNEL, second)}
    assert compare(network, variables) < 1e-5
    assert set(network.devices) == {first}, network.devices
    assert jnp.zeros(1).devices() == {second}  # left as it was


def python(script, **environment):
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_network_computes_on_the_cpu_where_another_device_is_the_default():
    script = "from tests import test_exact_export as t; t.on_another_device()"
    flags = "--xla_force_host_platform_device_count=2"
    done = python(script, JAX_PLATFORMS="cpu", XLA_FLAGS=flags)
    assert done.returncode == 0, done.stderr


def test_without_a_cpu_in_jax_a_sentence_says_what_to_set(tmp_path):
    script = (
        "from hierseg_jax.system.errors import HiersegError\n"
        "from hierseg_jax.bridge.export import export_checkpoint\n"
        "try:\n"
        f"    export_checkpoint({str(tmp_path)!r}, {str(tmp_path / 'a.onnx')!r})\n"
        "except HiersegError as error:\n"
        "    print(error)\n"
    )
    done = python(script, JAX_PLATFORMS="tpu")  # which is not there either
    assert "JAX_PLATFORMS is 'tpu'. Add cpu to it" in done.stdout, done.stderr
