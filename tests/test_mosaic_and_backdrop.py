"""Pictures of four pictures, and pictures with another background: what is shown and labelled."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hierseg_jax.settings import MixingSettings
from hierseg_jax.train import backdrops, mixing, mosaics
from hierseg_jax.train.mixing import (
    STREAM,
    check_mixing,
    choose_mixing,
    draw_partners,
    draw_rectangles,
    keep,
    paste,
)
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.programs import program
from tests.runs import small_settings

halved, halved_labels = program(mosaics.halved), program(mosaics.halved_labels)
tile = program(mosaics.tile, static_argnums=2)
paint_backdrops = program(backdrops.paint_backdrops, static_argnums=(2, 3))


def mix(key, batch, background=0, **shares):
    of = {"axis_name": None, "chosen": MixingSettings(**shares), "background": background}
    return program(functools.partial(mixing.mix, **of))(key, batch).batch


KEYS = [jax.random.key(seed) for seed in range(12)]
COUNT, HEIGHT, WIDTH = 6, 8, 12


def batch_of(count=COUNT, invalid=()):
    """Every picture is its own number all over, and has labels of its own."""
    rng = np.random.RandomState(0)
    number_b = np.arange(count, dtype=np.uint8)[:, None, None]
    image_bhw = np.broadcast_to(30 * number_b + 10, (count, HEIGHT, WIDTH))
    return {
        "image": np.stack([image_bhw] * 3, -1),
        "label": rng.choice(np.array([0, 1, 2, 255], np.uint8), (count, HEIGHT, WIDTH)),
        "valid": ~np.isin(np.arange(count), invalid),
    }


def tiles_of(array_hw):
    """The four quarters, row by row."""
    rows, columns = HEIGHT // 2, WIDTH // 2
    return [
        np.asarray(array_hw[top : top + rows, left : left + columns])
        for top in (0, rows)
        for left in (0, columns)
    ]


def test_a_mosaic_is_its_own_picture_and_three_others_each_with_its_labels():
    batch = batch_of()
    small_bhw, seen = halved_labels(batch["label"]), set()
    for key in KEYS:
        after = tile(key, batch, 1.0)
        for number in range(COUNT):
            shown = [int(part[0, 0]) // 30 for part in tiles_of(after["image"][number, ..., 0])]
            assert shown[0] == number
            assert len(set(shown)) == 4
            seen.add(tuple(shown))
            for part, label_hw in zip(shown, tiles_of(after["label"][number]), strict=True):
                np.testing.assert_array_equal(label_hw, small_bhw[part])
        assert after["image"].dtype == after["label"].dtype == jnp.uint8
    assert len(seen) > COUNT * 6


def test_only_a_share_becomes_mosaics_and_others_stay():
    batch, changed = batch_of(), []
    for key in KEYS:
        after = tile(key, batch, 0.5)
        for number in range(COUNT):
            own = [batch[name][number] for name in ("image", "label")]
            same = [
                bool((after[name][number] == of).all())
                for name, of in zip(("image", "label"), own, strict=True)
            ]
            assert len(set(same)) == 1
            changed.append(not same[0])
    assert 0.3 < np.mean(changed) < 0.7
    assert tile(KEYS[0], batch, 0.0)["image"].tolist() == batch["image"].tolist()


def test_nothing_that_is_not_valid_is_shown_in_a_mosaic():
    batch, mosaics = batch_of(9, invalid=(3, 8)), 0
    for key in KEYS:
        after = tile(key, batch, 1.0)
        shown = after["image"][batch["valid"]] // 30
        assert not np.isin(shown, (3, 8)).any()
        mosaics += sum(len(np.unique(picture)) == 4 for picture in shown)
    assert mosaics > 12


def test_a_small_batch_goes_round():
    after = tile(KEYS[0], batch_of(2), 1.0)
    shown = [int(part[0, 0]) // 30 for part in tiles_of(after["image"][0, ..., 0])]
    assert shown == [0, 1, 0, 1]


def test_cells_of_a_mosaic_teach_where_all_that_they_show_does():
    taught = np.random.RandomState(1).rand(COUNT, HEIGHT // 2, WIDTH // 2) < 0.8
    after = tile(KEYS[0], batch_of() | {"taught": taught}, 1.0)
    for number in range(COUNT):
        shown = [int(part[0, 0]) // 30 for part in tiles_of(after["image"][number, ..., 0])]
        found = after["taught"][number]
        every = [taught[part].reshape(2, 2, 3, 2).all((1, 3)) for part in shown]
        expected = np.concatenate(
            [np.concatenate(every[:2], axis=1), np.concatenate(every[2:], axis=1)]
        )
        np.testing.assert_array_equal(found, expected)


@given(arrays(np.uint8, (2, 4, 6), elements=st.sampled_from([0, 1, 2, 255])))
def test_halved_labels_are_the_most_frequent_of_each_block(label_bhw):
    found_bhw = halved_labels(label_bhw)
    for b, row, column in np.ndindex(found_bhw.shape):
        block = label_bhw[b, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel().tolist()
        counts = collections.Counter(block)
        most = [label for label in block if counts[label] == max(counts.values())]
        assert found_bhw[b, row, column] == most[-1 if (row + column) % 2 else 0]


def test_halved_borders_are_moved_no_way():
    """A border between the columns of blocks lies half of the time left of them."""
    label_hw = np.zeros((8, 8), np.uint8)
    label_hw[:, 3:] = 1
    small_hw = halved_labels(label_hw[None])[0]
    assert small_hw.sum() == small_hw.size * 5 / 8


def test_halved_pictures_are_means_and_keep_their_type():
    image = np.random.RandomState(0).randint(0, 256, (2, 4, 6, 3)).astype(np.uint8)
    mean = image.reshape(2, 2, 2, 3, 2, 3).astype(np.float64).mean((2, 4))
    np.testing.assert_array_equal(halved(image), np.rint(mean))
    floating = halved(image.astype(np.float32) / 255)
    np.testing.assert_allclose(floating, mean / 255, atol=1e-6)
    assert floating.dtype == jnp.float32


def test_sides_that_cannot_be_halved_are_named():
    batch = jax.tree.map(lambda x: x[:, :7] if x.ndim > 1 else x, batch_of())
    with pytest.raises(ValueError, match=r"these have 7 x 12 pixels; choose .* multiples of 2, or"):
        tile(KEYS[0], batch, 0.5)


@pytest.mark.parametrize("floating", [False, True])
def test_a_backdrop_covers_the_background_and_nothing_else(floating):
    batch, painted = batch_of(), []
    if floating:
        batch["image"] = batch["image"].astype(np.float32) / 255
    for key in KEYS:
        after = paint_backdrops(key, batch, 0.5, 0)
        np.testing.assert_array_equal(after["label"], batch["label"])
        behind = batch["label"] == 0
        np.testing.assert_array_equal(after["image"][~behind], batch["image"][~behind])
        assert after["image"].dtype == batch["image"].dtype
        assert 0 <= float(after["image"].min()) <= float(after["image"].max()) <= 255
        different = (after["image"] != batch["image"]).any(-1)
        # All of the background, but where the colour is the picture's by chance; or none.
        shares = different.sum((1, 2)) / behind.sum((1, 2))
        assert ((shares < 0.01) | (shares > 0.8)).all()
        painted += (shares > 0.8).tolist()
    assert 0.3 < np.mean(painted) < 0.7


def test_backdrops_are_smooth_and_of_all_greys():
    count, side = 300, 32
    batch = {
        "image": np.zeros((count, side, side, 3), np.uint8),
        "label": np.zeros((count, side, side), np.uint8),
        "valid": np.ones(count, bool),
    }
    batch["label"][:, 0] = 1
    image = paint_backdrops(KEYS[1], batch, 1.0, 0)["image"].astype(np.int64)[:, 1:]
    assert max(np.abs(np.diff(image, axis=axis)).max() for axis in (1, 2)) <= 6
    greys = image.mean((1, 2, 3))
    shares = np.histogram(greys, [0, 1, 64, 128, 192, 254, 255.1])[0] / count
    assert (shares > 0.05).all()
    spread = image.max((1, 2)) - image.min((1, 2))
    assert (spread > 3).mean() > 0.5


def test_pictures_of_nothing_but_background_stay_as_they_are():
    batch = batch_of()
    batch["label"][::2] = 0
    after = paint_backdrops(KEYS[1], batch, 1.0, 0)["image"]
    changed = (after != batch["image"]).any((1, 2, 3))
    assert changed.tolist() == [number % 2 == 1 for number in range(COUNT)]


def test_a_run_without_background_has_no_backdrops():
    tree = Hierarchy.from_mapping([0, 1], ["road", "car"])
    check_mixing(small_settings(mixing__mosaic=0.5), tree, devices=1)
    with pytest.raises(ValueError, match=r"mixing\.backdrop paints the background over, and"):
        check_mixing(small_settings(mixing__backdrop=0.5), tree, devices=1)
    # It takes no other picture.
    figures = Hierarchy.from_mapping([1], ["background", "body"])
    check_mixing(small_settings(mixing__backdrop=0.5, batch_size=1), figures, devices=1)
    with pytest.raises(ValueError, match=r"mixing\.mosaic takes another picture"):
        check_mixing(small_settings(mixing__mosaic=0.5, batch_size=1), figures, devices=1)


def test_what_lies_beside_is_no_background_where_there_is_none_or_none_is_wanted():
    data = small_settings().data
    assert data.training_resizing(0).beside == 0
    assert data.training_resizing(None).beside == data.resizing.beside == 255
    assert small_settings(data__beside="ignored").data.training_resizing(0).beside == 255


@pytest.mark.parametrize("share", ["backdrop", "mosaic", "copy_paste", "cutmix", "mixup"])
def test_every_share_alone_changes_a_batch(share):
    assert choose_mixing(MixingSettings(), 0) is keep
    batch = batch_of()
    after = choose_mixing(MixingSettings(**{share: 1.0}), 0)(KEYS[0], batch, None).batch
    different = after["image"] != scale_like(batch["image"], after["image"])
    assert different.any((1, 2, 3)).all()


def scale_like(image, other):
    return image if image.dtype == other.dtype else image / np.float32(255)


def test_a_mosaic_shows_backdrops():
    batch = batch_of()
    batch["label"][:] = 0
    batch["label"][:, 0] = 1
    painted = mix(KEYS[1], batch, backdrop=1.0)
    assert (painted["image"] != batch["image"]).any((1, 2, 3)).all()
    small_bhwc = halved(painted["image"])
    after = mix(KEYS[1], batch, backdrop=1.0, mosaic=1.0)
    for number in range(COUNT):
        shown = after["image"][number]
        np.testing.assert_array_equal(
            shown[: HEIGHT // 2, : WIDTH // 2], small_bhwc[number], err_msg="the first is its own"
        )


def test_mosaics_are_of_each_device_s_own_share():
    shares = jax.tree.map(lambda x: np.stack([x, x]), batch_of())

    def on_device(batch):
        chosen = MixingSettings(mosaic=1.0)
        return mixing.mix(KEYS[0], batch, "data", chosen=chosen, background=0).batch["image"]

    images = program(jax.vmap(on_device, axis_name="data"))(shares)
    assert (images[0] != images[1]).any()


def test_what_older_runs_mix_is_as_it_was():
    """Keys of later options are drawn of a stream of their own."""
    batch = batch_of()
    _, key = jax.random.split(jax.random.fold_in(KEYS[2], STREAM))
    _, cut_key, _, rectangle_key = jax.random.split(key, 4)
    partner_b, mixed_b = draw_partners(cut_key, batch["valid"], 0.5)
    mask_bhw = draw_rectangles(rectangle_key, batch["label"].shape) & mixed_b[:, None, None]
    expected = paste(batch, partner_b, mask_bhw)
    assert (expected["image"] != batch["image"]).any()
    # No pixel is of class 9, so its backdrop changes none.
    for background, backdrop in ((0, 0.0), (9, 1.0)):
        found = mix(KEYS[2], batch, background, cutmix=0.5, backdrop=backdrop)
        for name in ("image", "label"):
            np.testing.assert_array_equal(found[name], expected[name])


def test_a_tree_without_background_has_nothing_painted():
    batch = batch_of()
    after = paint_backdrops(KEYS[0], batch, 1.0, None)
    np.testing.assert_array_equal(after["image"], batch["image"])


@pytest.mark.parametrize("share", ["backdrop", "mosaic", "copy_paste", "cutmix", "mixup"])
def test_scores_that_are_kept_are_of_one_picture(share):
    taught = {"teacher": "runs/teacher", "teacher_options__scores": "once", "augment": "modern"}
    given = taught | {f"mixing__{share}": 0.5}
    if share == "backdrop":
        small_settings(**given)
    else:
        with pytest.raises(ValueError, match=r"or mixing\.mosaic, copy_paste, cutmix and mixup to"):
            small_settings(**given)
