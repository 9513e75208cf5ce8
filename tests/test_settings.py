"""The keys of a config: declared once, read once, stored as they were given."""

import itertools
import json
import runpy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import (
    best,
    default,
    esnet,
    figures,
    lite0_pretrained,
    modern,
    pascal_person_part,
    tree,
)
from hierseg_jax.settings import read_settings, read_stored
from hierseg_jax.settings.config_files import load_config
from hierseg_jax.settings.key import ALWAYS
from hierseg_jax.settings.settings import FREE_KEYS, KEYS, Settings
from hierseg_jax.system.errors import HiersegError
from tests.conftest import ROOT

CONFIGS = [
    module.get_config()
    for module in (
        best,
        default,
        esnet,
        figures,
        lite0_pretrained,
        modern,
        pascal_person_part,
        tree,
    )
]
# A run of any earlier version goes on to what it would have computed: these stay as they are.
EARLIER = {
    "init": "",
    "data.allow_changed": False,
    "data.hierarchy": "",
    "data.on_error": "fail",
    "data.allow_missing_classes": True,
    "data.cache": "none",
    "data.resize": "stretch",
    "model.hierarchical": False,
    "model.conv_impl": "auto",
    "model.matmul_precision": "default",
    "model.pretrained": "",
    "model.padding": "symmetric",
    "model.norm_epsilon": 1e-5,
    "model.normalization": "none",
    "decode": "auto",
    "remat": False,
    "parallel": "pmap",
    "loss_options.gamma": 2.0,
    "loss_options.level_weights": (),
    "loss_options.triplets": 1000,
    "loss_options.embedding_size": 64,
    "loss_options.label_smoothing": 0.0,
    "loss_options.hard_share": 1.0,
    "loss_options.class_weights": "none",
    "model.stochastic_depth": 0.0,
    "optimizer.name": "adam",
    "optimizer.weight_decay": 0.01,
    "optimizer.clip_norm": 0.0,
    "optimizer.backbone_rate": 1.0,
    "optimizer.layer_decay": 1.0,
    "schedule.name": "exponential",
    "schedule.warmup_epochs": 0.0,
    "schedule.final": 0.0,
    "schedule.power": 0.9,
    "freeze_epochs": 0,
    "ema_decay": 0.0,
    "metrics": ("miou", "reference_miou", "pixel_accuracy", "precision", "recall", "f1"),
    "best": "loss",
}
FREE = {
    "data.allow_missing_classes",
    "data.allow_changed",
    "data.cache",
    "data.on_error",
    "data.worker_count",
    "epochs",
    "keep_best",
    "keep_last",
    "metrics",
    "parallel",
    "patience",
    "remat",
    "samples",
    "save_period",
    "tensorboard",
}


def test_the_file_that_users_read_says_what_the_declarations_say():
    format_default_file = runpy.run_path(str(ROOT / ".ci/default_config.py"))["format_default_file"]
    assert (ROOT / "configs" / "default.py").read_text() == format_default_file()


def test_what_a_resumed_run_may_change_is_a_promise():
    assert FREE_KEYS == FREE


def test_runs_from_before_a_key_compute_what_they_did():
    declared = {name: key.earlier for name, key in KEYS.items() if key.earlier is not ALWAYS}
    assert declared.items() >= EARLIER.items()


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_is_stored_as_it_was_given(config):
    stored = json.dumps(read_settings(config).to_dict())
    assert stored == json.dumps(config.to_dict())
    assert read_settings(read_settings(config)) == read_stored(json.loads(stored))


def test_without_a_config_settings_are_the_defaults():
    assert read_settings(default.get_config()) == Settings()


def values_of(name):
    """Values of a key that are right by themselves, as JSON has them."""
    key = KEYS[name]
    if name == "data.image_size":
        return st.integers(1, 2**14) | st.lists(st.integers(1, 2**14), min_size=2, max_size=2)
    if key.choices:
        return st.sampled_from(key.choices)
    if key.least is not None:
        return st.integers(key.least, key.most)
    if key.kinds == (bool,):
        return st.booleans()
    if name in ("data.spec", "data.hierarchy", "init", "model.name"):
        return st.text()
    return st.just(key.default)


@given(st.fixed_dictionaries({name: values_of(name) for name in KEYS}))
def test_reading_what_was_stored_gives_the_same_settings(values):
    values["model.hierarchical"] = False
    settings = Settings().replace(values)
    assert read_settings(settings) == settings
    assert read_stored(json.loads(json.dumps(settings.to_dict()))) == settings
    assert settings.flat().keys() == KEYS.keys()


def test_a_sum_of_losses_has_one_order_whoever_wrote_it():
    config = figures.get_config()
    config.loss = {"dice": 1.0, "crossentropy": 0.5}
    assert list(read_settings(config).loss_weights) == ["crossentropy", "dice"]
    assert list(read_settings(config).to_dict()["loss"]) == ["crossentropy", "dice"]


def test_keys_of_a_users_own_are_kept_and_not_read():
    config = figures.get_config()
    with config.unlocked():
        config.note, config.data.camera = "rainy days", 3
    settings = read_settings(config)
    assert settings.to_dict() == config.to_dict()
    assert settings.flat()["data.camera"] == 3
    assert read_stored(settings.to_dict()).replace({"epochs": 2}).others == {"note": "rainy days"}


def test_settings_do_not_change():
    settings = Settings()
    other = settings.replace({"optimizer.name": "adamw", "loss": {"dice": 1.0}})
    assert (settings.optimizer.name, other.optimizer.name) == ("adam", "adamw")
    assert other.replace({"loss.dice": 2.0}).loss_weights == {"dice": 2.0}


def test_slips_in_keys_and_names_of_configs_are_told():
    config = load_config("figures")
    for of, slip in ((config, "epoch"), (config.model, "nam")):
        with pytest.raises(AttributeError, match=f'Key "{slip}" does not exist'):
            setattr(of, slip, 1)
    below = ("loss.focal", "seed.x", "optimizer.name.foo")  # what they stand in is no mapping
    for slip, hint in (
        *(("model.nam", "model.name"), ("epoch", "epochs"), ("zzz", "default.py")),
        *((name, "") for name in below),
    ):
        with pytest.raises(HiersegError, match=f"The config has no key {slip}; .*{hint}"):
            Settings().replace({slip: 1})
    for slip in ("fgures", "configs/figures.py"):
        with pytest.raises(HiersegError, match=r"There is no config .*; did you mean figures\?"):
            load_config(slip)
    with pytest.raises(HiersegError, match=r"There is no config None in .*; there are best, "):
        load_config(None)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"batch_size": 0}, "The config's batch_size is 0; it must be at least 1."),
        ({"seed": 2**32}, "The config's seed is 4294967296; it must be at most 4294967295."),
        ({"decay": 0.0}, "The config's decay is 0.0; it must be above 0."),
        ({"loss_options.gamma": -1.0}, "loss_options.gamma is -1.0; it must be 0 or more."),
        ({"schedule.final": 2.0}, "schedule.final is 2.0; it must be 0 or more and at most 1."),
        ({"data.resize": "squeeze"}, "it must be stretch, letterbox or crop."),
        ({"data.image_size": (32,)}, "data.image_size is (32,); it must be one side in pixels,"),
        ({"augment": "moderne"}, "The config's augment is 'moderne'; it must be none, reference"),
        ({"epochs": None}, "The config's epochs is None; it must be a whole number."),
        ({"learning_rate": "1e-3"}, "learning_rate is '1e-3'; it must be a number."),
        ({"tensorboard": 1}, "tensorboard is 1; it must be True or False."),
        ({"teacher": None}, "The config's teacher is None; it must be text or a list."),
        ({"teacher_options.image_size": False}, "is False; it must be a whole number or a list."),
        ({"teacher_options.scales": (True,)}, "scales is (True,); it must be one factor or more"),
        ({"best": "recal"}, "There is no metric 'recal' (best); did you mean recall?"),
    ],
)
def test_a_wrong_value_is_named(values, sentence):
    with pytest.raises(HiersegError) as error:
        read_settings(Settings().replace(values))
    assert sentence in str(error.value)


ODD = [None, True, False, 0, 0.0, -1, 1.5, "", "x", (), (0,), (1.0,), (None,), ("a", "b"), {}]
ODD += ["\ud800\x1b[2J", ("\ud800",)]


def test_what_a_config_may_say_a_run_can_read_again_and_else_a_terminal_can_show():
    plain = Settings()
    for name, odd in itertools.product(KEYS, ODD):
        try:
            settings = read_settings(plain.replace({name: odd}))
        except HiersegError as error:
            refused = str(error)
        else:
            refused = ""
            stored = json.loads(json.dumps(settings.to_dict()))
            assert read_stored(stored) == settings, (name, odd)
        assert refused.isprintable(), (name, odd)


def test_a_missing_key_is_named():
    config = Settings().to_dict()
    del config["model"]["name"]
    with pytest.raises(HiersegError, match=r"has no key model\.name; begin with configs/default"):
        read_settings(config)
    with pytest.raises(HiersegError, match=r"config\.model\.name is missing"):
        read_stored(config)
    config = Settings().to_dict()
    del config["optimizer"]
    with pytest.raises(HiersegError, match=r"has no key optimizer\.name"):
        read_settings(config)
