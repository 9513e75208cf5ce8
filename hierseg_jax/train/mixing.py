"""Training examples made of several, and others that only a batch's labels make, on the device.

Each is done to a share of the examples, with other examples of the same batch that are valid: of
the same device's share of it. Which, and how, depends on the step's key alone. In their order:

- A backdrop: the background is painted over (`backdrops.py`).
- A mosaic: four pictures at half their sides (`mosaics.py`).
- Copy-paste (Ghiasi et al., CVPR 2021, arXiv 2012.07177): what is labelled in the other picture,
  and is not the background, covers this one, where it stands.
- CutMix (Yun et al., ICCV 2019, arXiv 1905.04899; for segmentation French et al., BMVC 2020,
  arXiv 1906.01916): a rectangle of the other picture covers this one.
- MixUp (Zhang et al., ICLR 2018, arXiv 1710.09412): the sum of both pictures, weighted; the loss
  is the same sum of those with both labels. One weight for a batch, since losses such as dice are
  no sums over pictures.
- Poor cameras: bad light, blur and noise (`poor_cameras.py`). A teacher is shown the pictures that
  they spoil as they were.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from hierseg_jax.data.taught import CELL
from hierseg_jax.evaluation.eval_step import DeviceBatch, scale_image
from hierseg_jax.settings import MixingSettings, Settings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.train.backdrops import paint_backdrops
from hierseg_jax.train.mosaics import tile
from hierseg_jax.train.poor_cameras import take_with_poor_cameras
from hierseg_jax.tree.hierarchy import IGNORE_LABEL, Hierarchy

# Of a step's key. Devices are numbered from 0, and have streams of these numbers.
STREAM = 2**31 - 1


class Mixed(NamedTuple):
    """A batch to train on.

    Attributes:
      batch: pictures, their labels, and which are valid; `clear`, the pictures as they were before
        poor cameras, where there are such.
      other_label_bhw: uint8 [B, H, W], of the pictures that were blended into these; None
        without MixUp.
      weight: float32 scalar in [0, 1] of the loss with `batch`'s own labels.
    """

    batch: DeviceBatch
    other_label_bhw: jax.Array | None = None
    weight: jax.Array | None = None

    def loss(self, of_labels: Callable[[jax.Array], jax.Array]) -> jax.Array:
        """Of both labels, weighted; `of_labels` gives the loss with labels [B, H, W]."""
        value = of_labels(self.batch["label"])
        if self.weight is None or self.other_label_bhw is None:
            return value
        return self.weight * value + (1 - self.weight) * of_labels(self.other_label_bhw)


Mix = Callable[[jax.Array, DeviceBatch, str | None], Mixed]
"""(key of the step, batch, axis_name) -> what is trained on."""


def choose_mixing(chosen: MixingSettings, background: int | None) -> Mix:
    """What the settings want: `mix`, or `keep` where all shares are 0."""
    if not chosen.of_several and not chosen.backdrop and not chosen.poor_camera:
        return keep
    return functools.partial(mix, chosen=chosen, background=background)


def keep(key: jax.Array, batch: DeviceBatch, axis_name: str | None) -> Mixed:
    """The batch as it is."""
    del key, axis_name
    return Mixed(batch)


def mix(
    key: jax.Array,
    batch: DeviceBatch,
    axis_name: str | None,
    *,
    chosen: MixingSettings,
    background: int | None,
) -> Mixed:
    """A batch some of whose examples are mixed with others of it, or have another background.

    Args:
      key: of the step, the same on all devices.
      batch: `image` [B, H, W, 3], uint8 or floating in 0 to 1, `label` uint8 [B, H, W], `valid`
        bool [B]; `taught`, of a run with a teacher, bool [B, H / CELL, W / CELL].
      axis_name: mapped axis over which the batch is spread, if any.
      chosen: of the run.
      background: `Hierarchy.background`; not None with `copy_paste` and `backdrop`.
    """
    # Losses run over all devices and need one weight; the rest is every device's own.
    weight_key, key = jax.random.split(jax.random.fold_in(key, STREAM))
    if axis_name is not None:
        key = jax.random.fold_in(key, lax.axis_index(axis_name))
    # Later than the others, so they take keys of their own: older runs go on as they began.
    backdrop_key, mosaic_key = jax.random.split(jax.random.fold_in(key, STREAM))
    camera_key = jax.random.fold_in(key, STREAM - 1)
    copy_key, cut_key, blend_key, rectangle_key = jax.random.split(key, 4)
    valid_b = batch["valid"]
    if chosen.backdrop:
        batch = paint_backdrops(backdrop_key, batch, chosen.backdrop, background)
    if chosen.mosaic:
        batch = tile(mosaic_key, batch, chosen.mosaic)
    if chosen.copy_paste:
        partner_b, mixed_b = draw_partners(copy_key, valid_b, chosen.copy_paste)
        mask_bhw = foreground(batch["label"], background)[partner_b]
        batch = paste(batch, partner_b, mask_bhw & mixed_b[:, None, None])
    if chosen.cutmix:
        partner_b, mixed_b = draw_partners(cut_key, valid_b, chosen.cutmix)
        mask_bhw = draw_rectangles(rectangle_key, batch["label"].shape)
        batch = paste(batch, partner_b, mask_bhw & mixed_b[:, None, None])
    mixed = Mixed(batch)
    if chosen.mixup:
        partner_b, mixed_b = draw_partners(blend_key, valid_b, chosen.mixup)
        weight = jax.random.beta(weight_key, chosen.mixup_alpha, chosen.mixup_alpha)
        mixed = blend(batch, partner_b, mixed_b, weight)
    if not chosen.poor_camera:
        return mixed
    spoiled = take_with_poor_cameras(camera_key, mixed.batch, chosen.poor_camera)
    return mixed._replace(batch=spoiled | {"clear": mixed.batch["image"]})


def draw_partners(key: jax.Array, valid_b: jax.Array, share: float) -> tuple[jax.Array, jax.Array]:
    """Which other example each may be mixed with, int32 [B], and whether it is, bool [B].

    Every example is the partner of one, and none its own where there are two. What is not valid
    is mixed into nothing.
    """
    order_key, share_key = jax.random.split(key)
    order_b = jax.random.permutation(order_key, len(valid_b))
    partner_b = jnp.zeros_like(order_b).at[order_b].set(jnp.roll(order_b, 1))
    mixed_b = jax.random.bernoulli(share_key, share, valid_b.shape)
    return partner_b, mixed_b & valid_b[partner_b]


def foreground(label_bhw: jax.Array, background: int | None) -> jax.Array:
    """What is labelled, by a class or a group, and is not the background: bool [B, H, W]."""
    return (label_bhw != background) & (label_bhw != IGNORE_LABEL)


def draw_rectangles(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A rectangle for every picture, bool [B, H, W], of the picture's own proportions.

    Its share of the area is drawn evenly from [0, 1), its centre from the picture, by whose
    border it is cut off (CutMix, equation 2 and Beta(1, 1)).
    """
    count, height, width = shape
    area_b, row_b, column_b = jax.random.uniform(key, (3, count, 1))
    half_b = jnp.sqrt(area_b) / 2
    rows_bh = jnp.abs((jnp.arange(height) + 0.5) / height - row_b) < half_b
    columns_bw = jnp.abs((jnp.arange(width) + 0.5) / width - column_b) < half_b
    return rows_bh[:, :, None] & columns_bw[:, None, :]


def paste(batch: DeviceBatch, partner_b: jax.Array, mask_bhw: jax.Array) -> DeviceBatch:
    """The batch with its partners' pixels and labels where the mask is True."""
    image_bhwc, label_bhw = batch["image"], batch["label"]
    pasted = batch | {
        "image": jnp.where(mask_bhw[..., None], image_bhwc[partner_b], image_bhwc),
        "label": jnp.where(mask_bhw, label_bhw[partner_b], label_bhw),
    }
    if "taught" in batch:
        count, height, width = batch["taught"].shape
        cells_bhiwj = mask_bhw.reshape(count, height, CELL, width, CELL)
        of_both = batch["taught"], batch["taught"][partner_b]
        pasted["taught"] = taught_by_all(
            *of_both, ~cells_bhiwj.all((2, 4)), cells_bhiwj.any((2, 4))
        )
    return pasted


def blend(batch: DeviceBatch, partner_b: jax.Array, mixed_b: jax.Array, weight: jax.Array) -> Mixed:
    """Pictures in [0, 1], times the weight, and their partners times the rest of it, where mixed.

    Others stay as they are, their other label being their own: the weighted loss is then theirs.
    """
    image_bhwc, label_bhw = scale_image(batch["image"]), batch["label"]
    blended_bhwc = weight * image_bhwc + (1 - weight) * image_bhwc[partner_b]
    image_bhwc = jnp.where(mixed_b[:, None, None, None], blended_bhwc, image_bhwc)
    other_bhw = jnp.where(mixed_b[:, None, None], label_bhw[partner_b], label_bhw)
    blended = batch | {"image": image_bhwc}
    if "taught" in batch:
        of_both = batch["taught"], batch["taught"][partner_b]
        blended["taught"] = taught_by_all(*of_both, jnp.array(True), mixed_b[:, None, None])
    return Mixed(blended, other_bhw, weight)


def taught_by_all(
    own_bhw: jax.Array, other_bhw: jax.Array, shows_own: jax.Array, shows_other: jax.Array
) -> jax.Array:
    """Which cells teach: those of which all that they show does, of one picture or of both."""
    return (own_bhw | ~shows_own) & (other_bhw | ~shows_other)


def check_mixing(settings: Settings, hierarchy: Hierarchy, devices: int) -> None:
    """Refuses to mix where there is nothing to mix with, or no background.

    Args:
      settings: of the run.
      hierarchy: of its data.
      devices: that share a batch.

    Raises:
      ValueError: naming the keys.
    """
    chosen = settings.mixing
    wanted = [f"mixing.{name}" for name in chosen.of_several]
    if wanted and settings.batch_size < 2 * devices:
        each = "a batch has" if devices == 1 else f"each of {devices} devices has"
        raise HiersegError(
            f"The config's {wanted[0]} takes another picture of the same batch, and {each} one "
            f"alone; choose a batch_size of at least {2 * devices}, or set {wanted[0]} to 0."
        )
    if hierarchy.background is not None:
        return
    for name, what in (
        ("copy_paste", "pastes what is not the background"),
        ("backdrop", "paints the background over"),
    ):
        if getattr(chosen, name):
            raise HiersegError(
                f"The config's mixing.{name} {what}, and the classes of {settings.data.named} "
                "have none; set it to 0."
            )
