"""Files of what is searched, and metrics: what is taken, and the sentence for the rest."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from configs import figures
from hierseg_jax.data.read.sources import load_hierarchy
from hierseg_jax.settings import Settings, read_settings
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.tune.objective import Metric, check_comparable, find_metric
from hierseg_jax.train.tune.space import Choice, Range, read_space
from tests.conftest import ROOT
from tests.tuning import row


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("space") / "space.yaml"


def read(file, text, settings=None):
    file.write_text(text)
    return read_space(file, settings or read_settings(figures.get_config()))


def mistake(file, text):
    with pytest.raises(ValueError, match=r"space\.yaml: ") as error:
        read(file, text)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{file}: ")


def test_every_kind_is_read_as_the_type_of_its_key(file):
    space = read(
        file,
        "learning_rate: {log_uniform: [1e-4, 1e-2]}\n"  # no point: text to YAML
        "decay: {uniform: [0.8, 1]}\n"
        "epochs: {int: [4, 12]}\n"
        "batch_size: {choice: [8, 16]}\n"
        "loss_options.gamma: {choice: [1, 2e0]}\n"
        "loss: {choice: [dice, crossentropy + 0.5*dice]}\n"
        "augment: {choice: [true, false]}\n",
    )
    assert space == {
        "learning_rate": Range("log_uniform", 1e-4, 1e-2),
        "decay": Range("uniform", 0.8, 1.0),
        "epochs": Range("int", 4, 12),
        "batch_size": Choice((8, 16)),
        "loss_options.gamma": Choice((1.0, 2.0)),
        "loss": Choice(("dice", "crossentropy + 0.5*dice")),
        "augment": Choice((True, False)),
    }
    assert read(file, "augment: {choice: [none, modern]}")["augment"].values == ("none", "modern")
    assert next(iter(space)) == "learning_rate"
    assert all(isinstance(value, float) for value in space["loss_options.gamma"].values)


def test_the_example_of_configs_is_read():
    assert (
        len(read_space(ROOT / "configs/tune_space.yaml", read_settings(figures.get_config()))) == 3
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("learning_rat: {uniform: [1, 2]}", "the config has no key 'learning_rat'; did you mean "
         "learning_rate?"),
        ("model: {name: {choice: [esnet, effunet]}}", "the config has no key 'model'; it is a "
         "section: write model.backbone or model.conv_impl."),
        ("learning_rate: 0.1", "learning_rate: expected one of uniform, log_uniform, int, choice, "
         "as in {choice: [1, 2]}; found 0.1."),
        ("learning_rate: {loguniform: [1, 2]}", "learning_rate: expected one of uniform, "
         "log_uniform, int, choice, as in {choice: [1, 2]}; found {'loguniform': [1, 2]}."),
        ("decay: {uniform: 3}", "decay: uniform needs a list; found 3."),
        ("decay: {uniform: [0.1, 0.2, 0.3]}", "decay: uniform needs the lowest and the highest "
         "value; found 3 values."),
        ("decay: {uniform: [0.5, 0.5]}", "decay: the range from 0.5 to 0.5 is empty; the first "
         "must be the lower."),
        ("epochs: {int: [9, 2]}", "epochs: the range from 9 to 2 is empty; the first must be the "
         "lower."),
        ("decay: {uniform: [low, 1]}", "decay: expected numbers; found 'low'."),
        ("decay: {uniform: [.nan, 1]}", "decay: expected numbers; found nan."),
        ("decay: {choice: [true, 1]}", "decay: expected numbers; found True."),
        ("learning_rate: {log_uniform: [0, 1]}", "learning_rate: log_uniform starts at 0.0; it "
         "must start above 0."),
        ("learning_rate: {int: [1, 2]}", "learning_rate: its value is 0.003, which int does not "
         "fit; use uniform, log_uniform or choice."),
        ("batch_size: {uniform: [1, 2]}", "batch_size: its value is 12, which uniform does not "
         "fit; use int or choice."),
        ("batch_size: {choice: [8, 8.5]}", "batch_size: expected whole numbers; found 8.5."),
        ("batch_size: {choice: [8]}", "batch_size: choice needs two different values at least; "
         "found [8]."),
        ("batch_size: {choice: []}", "batch_size: choice needs two different values at least; "
         "found []."),
        ("augment: {int: [0, 1]}", "augment: its value is False, which int does not fit; use "
         "choice."),
        ("loss_options.level_weights: {choice: [1, 2]}", "loss_options.level_weights: its value is "
         "(); only numbers, text and true or false can be searched."),
        ("batch_size: {choice: [0, 8]}", "It allows batch_size=0, which can't be trained: The "
         "config's batch_size is 0; it must be at least 1."),
        ("epochs: {int: [0, 8]}", "It allows epochs=0, which can't be trained: The config's epochs "
         "is 0; it must be at least 1."),
        ("loss: {choice: [dice, tree_min]}\nmodel.hierarchical: {choice: [true, false]}",
         "It allows loss=tree_min, model.hierarchical=False, which can't be trained: "),
        ("", "expected lines such as `learning_rate: {log_uniform: [1e-4, 1e-2]}`; found None."),
    ],
)  # fmt: skip
def test_a_mistake_ends_in_a_sentence(file, text, sentence):
    found = mistake(file, text)
    assert found == sentence or (sentence.endswith(": ") and found.startswith(sentence))


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
entries = st.dictionaries(
    st.sampled_from(["uniform", "log_uniform", "int", "choice"]), st.lists(plain, max_size=3),
    min_size=1, max_size=1,
)  # fmt: skip
keys = st.sampled_from(
    ["learning_rate", "decay", "batch_size", "seed", "loss", "augment", "model.name", "data"]
)


class Chooser:
    """As a trial of Optuna's, giving a bound or a choice."""

    def __init__(self, last):
        self.last = last

    def suggest_int(self, key, low, high):
        return high if self.last else low

    def suggest_float(self, key, low, high, log):
        assert not log or low > 0
        return high if self.last else low

    def suggest_categorical(self, key, values):
        return values[-1 if self.last else 0]


@given(content=st.dictionaries(keys, entries | plain, max_size=3), last=st.booleans())
def test_any_content_is_a_space_that_can_be_trained_or_a_sentence(file, content, last):
    settings = read_settings(figures.get_config())
    try:
        space = read(file, yaml.safe_dump(content, allow_unicode=True), settings)
    except ValueError as error:
        sentence = str(error)
    else:
        sentence = None
    if sentence is not None:
        assert sentence.startswith(f"{file}: ")
        assert "\n" not in sentence
        return
    trial = Chooser(last)
    values = {key: of.suggest(trial, key) for key, of in space.items()}
    read_settings(settings.replace(values))


@given(
    bounds=st.tuples(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12)),
    kind=st.sampled_from(["uniform", "log_uniform"]),
)
def test_bounds_arrive_as_they_were_written(file, bounds, kind):
    low, high = bounds
    text = f"learning_rate: {{{kind}: [{low!r}, {high!r}]}}"
    if low < high:
        assert read(file, text) == {"learning_rate": Range(kind, low, high)}
    else:
        assert "is empty" in mistake(file, text)


def test_values_change_a_copy_of_the_settings():
    settings = Settings()
    changed = settings.replace({"model.name": "esnet", "learning_rate": 0.5, "loss": "dice"})
    assert (changed.model.name, changed.learning_rate, changed.loss) == ("esnet", 0.5, "dice")
    assert (settings.model.name, settings.learning_rate, settings.loss) == (
        "effunet", 1e-3, "crossentropy"
    )  # fmt: skip


def test_metrics_are_those_of_the_history():
    hierarchy = load_hierarchy("figures")
    metrics = ("miou", "f1")
    assert not find_metric("val_loss", hierarchy, metrics).maximized
    assert find_metric("levels.part.f1", hierarchy, metrics).maximized
    part = find_metric("levels.part.miou", hierarchy, metrics)
    assert part.maximized
    progress = Progress(rows=(row(1, 0.5), row(2, 0.2), row(3, 0.4)), stale_epochs=1)
    assert part.of_run(progress) == 0.98  # of the best epoch
    assert Metric("val_loss").of_run(progress) == 0.2
    with pytest.raises(ValueError, match=r"'levels\.parts\.miou'; did you mean levels\.part\.miou"):
        find_metric("levels.parts.miou", hierarchy, metrics)
    with pytest.raises(ValueError, match=r"choose one of val_loss, levels\.body\.miou, "):
        find_metric("accuracy", hierarchy, metrics)


def test_a_level_with_a_point_in_its_name_has_metrics_too():
    metric = Metric("levels.a.b.miou")
    assert metric.of_epoch({"levels": {"a.b": {"miou": 0.5}}}) == 0.5
    with pytest.raises(ValueError, match="is undefined"):
        metric.of_epoch({"levels": {"a.b": {"miou": None}}})


@pytest.mark.parametrize(
    ("key", "metric", "allowed"),
    [
        ("learning_rate", "val_loss", True),
        ("loss", "val_loss", False),
        ("loss", "levels.part.miou", True),
        ("model.hierarchical", "val_loss", False),
        ("data.spec", "levels.part.miou", False),
        ("data.hierarchy", "val_loss", False),
        ("data.resize", "levels.part.miou", False),
        ("data.sampling", "levels.part.miou", False),
        ("loss_options.every_level", "val_loss", False),
        ("loss_options.every_level", "levels.part.miou", True),
    ],
)
def test_trials_that_could_not_be_compared_are_refused(key, metric, allowed):
    space = {key: Choice(("a", "b"))}
    if allowed:
        check_comparable(space, Metric(metric))
    else:
        with pytest.raises(ValueError, match=f"The space has {key}, .* could not be compared"):
            check_comparable(space, Metric(metric))


def test_numbers_of_a_space_are_finite(file):
    assert "too wide" in mistake(file, f"loss_options.gamma: {{uniform: [-1e308, {1e308!r}]}}")
    assert math.isfinite(read(file, "decay: {uniform: [0.1, 1e2]}")["decay"].high)
