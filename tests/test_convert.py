"""PyTorch weights to a checkpoint and back."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from hierseg_jax.checkpoint import (
    checkpoint_meta,
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.models import Variant, create_model, init_variables
from hierseg_jax.pytorch.convert import convert_to_checkpoint, convert_to_torch
from hierseg_jax.pytorch.recognise import recognise
from hierseg_jax.pytorch.weights import state_dict_from_variables
from hierseg_jax.settings import Settings
from hierseg_jax.settings.building import build_model
from hierseg_jax.settings.fitting import settled
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART, Hierarchy
from tests.commands import run_quickly
from tests.reference_weights import load_golden, reference_state_dict
from tests.runs import run
from tests.test_training_mistakes import write_data

SETTINGS = Settings().replace({"data.figures_val": 10})


def golden_file(folder, name="esnet", classes=7, metadata=None, change=lambda arrays: arrays):
    """A safetensors file of the golden weights."""
    _, meta = load_golden(f"{name}_forward_n{classes}")
    file = folder / f"{name}.safetensors"
    save_file(change(reference_state_dict(meta)), file, metadata)
    return file


def convert(file, output, **options):
    return convert_to_checkpoint(file, output, SETTINGS, **options)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """ESNet's golden weights as a file and as a checkpoint; nobody changes them."""
    root = tmp_path_factory.mktemp("converted")
    file = golden_file(root)
    options = {"model": "esnet", "num_classes": 7, "data": "figures", "image_size": 32}
    said = convert(file, root / "net", **options)
    return file, root / "net", said


@pytest.mark.parametrize("name", ["esnet", "effunet"])
def test_weights_go_to_a_checkpoint_and_back_bit_for_bit(tmp_path, name):
    file = golden_file(tmp_path, name)
    convert(file, tmp_path / "net")
    folder = convert_to_torch(tmp_path / "net", tmp_path / "back.safetensors")
    assert folder == tmp_path / "net"
    before, after = load_file(file), load_file(tmp_path / "back.safetensors")
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert after[key].dtype == value.dtype
        assert after[key].shape == value.shape
        assert after[key].tobytes() == value.tobytes(), key


@pytest.mark.parametrize("head", ["hierarchical", "conditional"])
def test_the_header_tells_heads_of_as_many_channels_apart(tmp_path, head):
    """Of a tree without a background, where every node has siblings, both have all nodes."""
    hierarchy = Hierarchy.from_mapping({"a": [0, 1], "b": [2, 3]}, ["w", "x", "y", "z"])
    key = "model.hierarchical" if head == "hierarchical" else "model.sibling_softmax"
    settings = settled(SETTINGS.replace({key: True, "model.name": "esnet_mini"}), Variant())
    variables = init_variables(build_model(settings.model, hierarchy), jax.random.key(0))
    save_checkpoint(tmp_path / "net", variables, checkpoint_meta(settings, hierarchy))
    convert_to_torch(tmp_path / "net", tmp_path / "net.safetensors")
    convert(tmp_path / "net.safetensors", tmp_path / "back")
    assert load_checkpoint(tmp_path / "back").settings.model.head == head


def test_the_header_tells_the_network_and_its_tree_and_is_read_again(tmp_path, converted):
    file = tmp_path / "back.safetensors"
    tree = write_data(tmp_path / "data")
    small = golden_file(tmp_path, classes=4)
    convert(small, tmp_path / "net", data=str(tree))
    convert_to_torch(tmp_path / "net", file)
    with safe_open(file, framework="np") as content:
        header = content.metadata()
    assert (header["model"], header["num_classes"]) == ("esnet", "4")
    assert json.loads(header["class_names"])[0] == "background"
    said = convert(file, tmp_path / "again")
    assert "Class tree: that in the file's header." in said
    first, again = (load_checkpoint(tmp_path / name).meta for name in ("net", "again"))
    assert again["hierarchy"] == first["hierarchy"] == json.loads(header["hierarchy"])


def test_the_checkpoint_is_found_whichever_is_asked_for_and_knows_its_source(converted):
    file, folder, said = converted
    assert said == [f"{file} holds esnet with 7 classes.", "Class tree: that of figures."]
    assert find_checkpoint(folder, "best") == find_checkpoint(folder, "last") == folder
    meta = load_checkpoint(folder).meta
    assert meta["source"]["file"] == file.name
    assert meta["config"].keys() == SETTINGS.to_dict().keys()
    assert meta["config"]["model"]["name"] == "esnet"
    assert (meta["config"]["data"]["spec"], meta["config"]["data"]["image_size"]) == ("figures", 32)


def test_a_converted_network_is_evaluated(converted, tmp_path):
    _, folder, _ = converted
    evaluation, description = evaluate_checkpoint(folder, task="val", batch_size=5)
    assert evaluation.num_images == 10
    assert set(evaluation.levels) == {"body", "upper_lower", "part"}
    assert (description["model"], description["epoch"]) == ("esnet", None)


def test_without_data_the_tree_is_known_for_seven_classes_and_flat_for_others(tmp_path):
    said = convert(golden_file(tmp_path), tmp_path / "seven")
    assert "PASCAL-Person-Part's, as there are 7 classes" in said[-1]
    tree = load_checkpoint(tmp_path / "seven").meta["hierarchy"]
    assert Hierarchy.from_json(tree) == PASCAL_PERSON_PART
    said = convert(golden_file(tmp_path, classes=4), tmp_path / "four")
    assert "class_1, class_2, ... in one level" in said[-1]
    tree = Hierarchy.from_json(load_checkpoint(tmp_path / "four").meta["hierarchy"])
    assert (tree.num_levels, tree.num_classes) == (1, 4)
    with pytest.raises(ValueError, match="names no data set; give one with --data"):
        evaluate_checkpoint(tmp_path / "four", task="val")


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.module."])
def test_the_prefixes_of_wrappers_are_taken_off(prefix):
    _, meta = load_golden("effunet_forward_n4")
    state_dict = reference_state_dict(meta)
    wrapped = {prefix + name: value for name, value in state_dict.items()}
    network, bare = recognise(wrapped, "file")
    assert str(network) == "effunet-b0"
    assert network.num_classes == 4
    assert list(bare) == list(state_dict)


def test_a_backbone_is_recognised():
    """b2 has the depth of b1."""
    model = create_model("effunet", 3, backbone="b2")
    fresh = init_variables(model, jax.random.key(0))
    network, _ = recognise(state_dict_from_variables(model, fresh), "file")
    assert (str(network), network.num_classes) == ("effunet-b2", 3)


def test_other_floats_become_float32_and_that_is_said(tmp_path):
    def cast(arrays):
        kinds = {4: jnp.bfloat16, 1: np.float16, 0: np.int64}
        cast = {name: value.astype(kinds[value.ndim]) for name, value in arrays.items()}
        name = "encoder.initial_block.bn.running_var"
        return cast | {name: arrays[name].astype(np.float64) / 3}

    said = convert(golden_file(tmp_path, change=cast), tmp_path / "net")
    assert "Of the tensors, 67 were bfloat16 and are float32 now, their values the same." in said
    assert "Of the tensors, 182 were float16 and are float32 now, their values the same." in said
    assert "Of the tensors, 1 were float64 and are float32 now, rounded." in said
    leaves = jax.tree.leaves(load_checkpoint(tmp_path / "net").variables)
    assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}


def without(*names):
    return lambda arrays: {k: v for k, v in arrays.items() if not k.startswith(names)}


@pytest.mark.parametrize(
    ("options", "change", "sentence"),
    [
        ({"model": "effunet"}, None, "holds the weights of esnet, not of effunet"),
        ({"num_classes": 4}, None, "has 7 classes (background included), not 4"),
        ({"backbone": "b3"}, None, "holds esnet with no backbone to choose, not b3"),
        ({"image_size": 100}, None, "--image_size is 100; esnet takes multiples of 8"),
        ({"image_size": 0}, None, "--image_size is 0"),
        ({"resize": "pad"}, None, "no resize rule 'pad'; choose one of stretch, letterbox, crop"),
        ({"image_size": (64, 100)}, None, "--image_size is 64x100 (height x width); esnet takes"),
        ({"image_size": 2**15}, None, "esnet takes multiples of 8 up to 16384"),
        ({"data": "nowhere.yaml"}, None, "nowhere.yaml"),
        ({}, without("decoder.output_conv"), "its last layer, decoder.output_conv.weight"),
        ({}, without("encoder.initial"), "but neither the reference's ESNet"),
        ({}, without("encoder.layers.7.bn2"), "missing: encoder.layers.7.bn2.weight (128,)"),
        ({}, without("encoder.layers", "decoder.layers"), "..."),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, options, change, sentence):
    file = golden_file(tmp_path, **({"change": change} if change else {}))
    with pytest.raises((ValueError, OSError)) as error:
        convert(file, tmp_path / "net", **options)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "net").exists()


def test_effunet_of_another_backbone_is_named(tmp_path):
    file = golden_file(tmp_path, "effunet")
    with pytest.raises(ValueError, match="effunet with the backbone b0, not b2"):
        convert(file, tmp_path / "net", backbone="b2")
    odd = golden_file(tmp_path, "effunet", change=without("backbone.blocks.6"))
    with pytest.raises(ValueError, match="stages are those of none of the backbones b0, b1"):
        convert(odd, tmp_path / "net")


def test_trees_that_do_not_fit_are_named(tmp_path):
    data = write_data(tmp_path / "data")
    with pytest.raises(ValueError, match=r"has 7 classes .* has 4 \(or"):
        convert(golden_file(tmp_path), tmp_path / "net", data=str(data))
    for tree in ("no JSON", "[]", "[" * 100_000, '{"tree": [1]}'):
        file = golden_file(tmp_path, metadata={"hierarchy": tree})
        with pytest.raises(ValueError, match="in its header that can't be read") as error:
            convert(file, tmp_path / "net")
        assert "\n" not in str(error.value)


def test_nothing_is_overwritten(converted, tmp_path):
    file, folder, _ = converted
    (tmp_path / "thesis.txt").write_text("years of work")
    for output in (folder, tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(ValueError, match="exists and is not overwritten"):
            convert(file, output)
    (tmp_path / "empty").mkdir()
    convert(file, tmp_path / "empty")
    with pytest.raises(ValueError, match="exists and is not overwritten"):
        convert_to_torch(folder, file)
    with pytest.raises(OSError, match="could not be written"):
        convert(file, tmp_path / "thesis.txt" / "net")


def test_the_size_and_the_rule_that_the_weights_were_made_for_go_into_the_config(
    tmp_path, converted
):
    plain = load_checkpoint(converted[1]).meta["config"]["data"]
    assert (plain["image_size"], plain["resize"]) == (32, "stretch")
    convert(converted[0], tmp_path / "net", image_size=(32, 48), resize="letterbox")
    data = load_checkpoint(tmp_path / "net").meta["config"]["data"]
    assert (tuple(data["image_size"]), data["resize"]) == ((32, 48), "letterbox")


def command(*flags):
    return run_quickly("convert", *flags)


def test_the_command_converts_both_ways_and_says_what_comes_next(tmp_path):
    file = golden_file(tmp_path, classes=4)
    data = write_data(tmp_path / "data")
    net, back = tmp_path / "net", tmp_path / "back.safetensors"
    size = ["--image_size=32,48", "--resize=crop"]
    flags = [f"--weights={file}", f"--output={net}", f"--data={data}", *size]
    done = run_quickly("launch/convert.py", *flags)
    assert done.returncode == 0, done.stderr
    kept = load_checkpoint(net).meta["config"]["data"]
    assert (list(kept["image_size"]), kept["resize"]) == ([32, 48], "crop")
    assert f"Next: hierseg evaluate --checkpoint={net}\n" in done.stdout
    done = run_quickly("evaluate", net, "--batch_size=3")
    assert done.returncode == 0, done.stderr
    assert f"esnet on {data}, val: 3 images" in done.stdout
    done = command(f"--checkpoint={net}", f"--to_torch={back}")
    assert done.returncode == 0, done.stderr
    assert load_file(back).keys() == load_file(file).keys()
    done = command(f"--weights={file}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: Give either --weights and --output, or --checkpoint")
    assert done.stderr.count("\n") == 1


def test_a_config_without_a_key_is_refused(tmp_path):
    config = tmp_path / "short.py"
    config.write_text(
        "from configs import default\n\n\ndef get_config():\n"
        "    config = default.get_config().unlock()\n    del config.optimizer.name\n"
        "    return config\n"
    )
    file, output = golden_file(tmp_path), tmp_path / "net"
    done = command(f"--config={config}", f"--weights={file}", f"--output={output}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: The config has no key optimizer.name; begin with ")
    assert not output.exists()


def test_weights_given_as_a_checkpoint_are_sent_to_convert(converted):
    with pytest.raises(ValueError, match=r"is a file; .*hierseg convert makes one"):
        evaluate_checkpoint(converted[0], task="val")


def test_a_full_disk_leaves_nothing_of_a_checkpoint(converted, tmp_path):
    file, _, _ = converted
    command = f"ulimit -f 2000; {sys.executable} launch/convert.py --weights={file} --model=esnet"
    result = run(["bash", "-c", f"{command} --num_classes=7 --output={tmp_path}/net"])
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: The checkpoint {tmp_path}/net could not be written: ")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
