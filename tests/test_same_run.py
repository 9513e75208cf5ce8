"""Whether a config continues a run, and what is said where it does not."""

import pytest

from hierseg_jax.train.same_run import check_same_run
from tests.runs import small_settings


@pytest.mark.parametrize(
    ("changes", "planned"),
    [
        ({"schedule__name": "cosine"}, "The cosine schedule (schedule.name)"),
        ({"schedule__name": "polynomial"}, "The polynomial schedule (schedule.name)"),
        ({"loss": "crossentropy + tree_triplet"}, "The weight of tree_triplet"),
    ],
)
def test_more_epochs_of_what_is_laid_out_over_all_are_refused_with_a_way_on(changes, planned):
    stored = small_settings(**changes, epochs=2)
    with pytest.raises(ValueError, match="epochs was 2, now 3") as error:
        check_same_run(stored, small_settings(**changes, epochs=3), "runs/a b")
    sentence = str(error.value)
    assert "with its own (--config.epochs=2), or choose another --workdir." in sentence
    assert f"{planned} is laid out over all epochs and ends at the last" in sentence
    assert sentence.endswith("give --config.init='runs/a b' and another --workdir.")


def test_weights_that_a_run_began_with_make_room_for_those_it_goes_on_from():
    begun = {"schedule__name": "cosine", "model__pretrained": "imagenet"}
    stored = small_settings(**begun, epochs=2)
    with pytest.raises(ValueError, match=r"--config\.init=run --config\.model\.pretrained= and"):
        check_same_run(stored, small_settings(**begun, epochs=3), "run")


def test_more_epochs_of_any_other_run_are_welcome():
    check_same_run(small_settings(epochs=2), small_settings(epochs=3), "run")
