"""What "best" goes by: the finest level's mIoU, or the validation loss where that is asked for."""

import json

import pytest

from configs import default, figures, modern, pascal_person_part
from hierseg_jax.checkpoint import checkpoint_steps, find_checkpoint
from hierseg_jax.settings import read_settings, read_stored
from hierseg_jax.settings.metric_choice import Criterion, parse_best, parse_metrics
from hierseg_jax.train.loop import set_up
from hierseg_jax.train.progress import Progress, end_line
from hierseg_jax.train.same_run import check_same_run
from hierseg_jax.train.tune.objective import Metric, check_comparable, check_one_size, find_metric
from hierseg_jax.train.tune.space import Choice
from hierseg_jax.tree.hierarchy import PASCAL_PERSON_PART
from tests.runs import small_settings
from tests.scored_checkpoints import save_scores


@pytest.mark.parametrize("config", [default, figures, modern])
def test_the_best_epoch_is_that_of_the_highest_miou_of_the_finest_level(config):
    config = config.get_config()
    criterion = parse_best(config.best, parse_metrics(config.metrics), PASCAL_PERSON_PART)
    assert criterion == Criterion("miou", "part")


def test_the_published_recipe_goes_by_its_loss():
    assert pascal_person_part.get_config().best == "loss"


def test_a_run_begun_when_the_loss_was_the_default_goes_on_with_it():
    now = small_settings()
    stored = now.to_dict() | {"best": "loss"}
    from_before_the_key = {key: value for key, value in stored.items() if key != "best"}
    for earlier in map(read_stored, (stored, from_before_the_key)):
        with pytest.raises(ValueError, match=r"best was 'loss', now 'miou'\)") as error:
            check_same_run(earlier, now, "run")
        assert "Continue it with its own (--config.best=loss), or" in str(error.value)
        check_same_run(earlier, small_settings(best="loss"), "run")
    assert read_stored(from_before_the_key).best == "loss"


def test_keys_of_a_users_own_are_the_same_in_a_run_that_goes_on():
    own = {"my": ((1, 2), (3, (4,))), "f": float("nan"), "several": (float("nan"), 1)}
    now = read_settings(small_settings().to_dict() | own)
    stored = read_stored(json.loads(json.dumps(now.to_dict())))
    check_same_run(stored, now, "run")
    with pytest.raises(ValueError, match="my was"):
        check_same_run(stored, read_settings(now.to_dict() | {"my": ((1, 2), (3, (5,)))}), "run")


def test_every_changed_key_is_given_back_as_a_flag():
    stored = small_settings(loss="dice + 0.5*focal")
    with pytest.raises(ValueError, match="another config") as error:
        check_same_run(stored, small_settings(batch_size=4, seed=1), "run")
    flags = "(--config.batch_size=8 '--config.loss=dice + 0.5*focal' --config.seed=0)"
    assert flags in str(error.value)


def test_metrics_without_the_best_are_told_what_to_add(tmp_path):
    with pytest.raises(ValueError, match=r"its metrics are f1; add miou to them, or choose a best"):
        set_up(small_settings(metrics=("f1",)), tmp_path / "run")
    set_up(small_settings(metrics=("f1",), best="f1"), tmp_path / "run")


def progress_of(*mious):
    rows = [
        {"epoch": i, "val_loss": 1 / i, "levels": {"part": {"miou": miou}}}
        for i, miou in enumerate(mious, 1)
    ]
    return Progress(rows=tuple(rows), stale_epochs=len(rows) - 1)


def test_an_undefined_miou_is_never_the_best_and_is_said_to_be_undefined():
    criterion = Criterion("miou", "part")
    progress = progress_of(None, None)
    assert [criterion.score(row) for row in progress.rows] == [float("inf")] * 2
    assert end_line(progress, 2, criterion).endswith(
        "best is epoch 1 with mIoU (part), which is undefined."
    )
    assert end_line(progress_of(0.5, 0.4), 2, criterion).endswith("with mIoU (part) of 0.5000.")


def test_of_equal_epochs_the_first_is_kept_and_found(tmp_path):
    save_scores(tmp_path, [-0.1, -0.5, -0.5, -0.5, -0.2])
    assert checkpoint_steps(tmp_path) == [2, 5]
    assert find_checkpoint(tmp_path).name == "2"


def test_of_equal_epochs_that_of_the_lower_loss_is_kept_and_found(tmp_path):
    save_scores(tmp_path, [0.0, 0.0, 0.0, 0.0], losses=[1.2, 0.8, 0.7, 0.9])
    assert checkpoint_steps(tmp_path) == [3, 4]
    assert find_checkpoint(tmp_path).name == "3"
    assert find_checkpoint(tmp_path / "checkpoints") == find_checkpoint(tmp_path)
    several = tmp_path / "several"
    save_scores(several, [0.0, 0.0, 0.0, 0.0], losses=[1.2, 0.8, 0.7, 0.9], keep_best=2)
    assert checkpoint_steps(several) == [2, 3, 4]
    assert find_checkpoint(several).name == "3"


def test_a_run_whose_number_is_never_defined_has_no_best(tmp_path):
    save_scores(tmp_path, [None, None])
    with pytest.raises(ValueError, match=r"has a number for its best; try --which=last"):
        find_checkpoint(tmp_path)
    assert find_checkpoint(tmp_path, "last").name == "2"


def test_a_search_goes_by_the_finest_levels_miou():
    assert find_metric(None, PASCAL_PERSON_PART, ("f1", "miou")) == Metric("levels.part.miou")
    with pytest.raises(ValueError, match=r"the config's metrics are f1; add miou to them, or give"):
        find_metric(None, PASCAL_PERSON_PART, ("f1",))


@pytest.mark.parametrize(
    ("key", "metric", "allowed"),
    [
        ("seed", "levels.part.miou", False),
        ("best", "levels.part.miou", False),
        ("data.image_size", "levels.part.miou", False),
        ("data.figures_val", "levels.part.miou", False),
        ("data.figures_train", "levels.part.miou", True),
        ("batch_size", "levels.part.miou", True),
        ("batch_size", "levels.part.reference_miou", False),
        ("batch_size", "val_loss", False),
        ("loss.dice", "val_loss", False),
        ("loss.dice", "levels.part.miou", True),
        ("loss_options.label_smoothing", "val_loss", True),
        ("decode", "levels.part.miou", True),
    ],
)
def test_a_search_over_what_is_measured_is_refused(key, metric, allowed):
    space = {key: Choice((1, 2))}
    if allowed:
        check_comparable(space, Metric(metric))
    else:
        with pytest.raises(ValueError, match=f"The space has {key}, which .* not be compared"):
            check_comparable(space, Metric(metric))


def test_networks_that_would_see_different_sizes_are_not_compared():
    space = {"model.name": Choice(("esnet", "effunet"))}
    check_one_size(space, small_settings(data__image_size=64))
    with pytest.raises(ValueError, match=r"40 for esnet, 32 for effunet pixels; .* of 32\."):
        check_one_size(space, small_settings(data__image_size=40))
