"""Which values settings may have."""

import operator
from typing import Any

from hierseg_jax.data.class_weights import parse_class_weights
from hierseg_jax.losses.sum_of_names import TAKEN_BY, check_loss, check_taken
from hierseg_jax.models import Variant
from hierseg_jax.settings.fitting import settled
from hierseg_jax.settings.key import Key
from hierseg_jax.settings.metric_choice import parse_best
from hierseg_jax.settings.settings import KEYS, Settings
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import counted


def check_values(settings: Settings) -> None:
    """Refuses values, each of the right type, that no run can have.

    Raises:
      ValueError: naming the first such key, its value, and what it may be.
    """
    for name, key in KEYS.items():
        check_value(name, operator.attrgetter(name)(settings), key)
    # These refuse what they can't read.
    data, model = settings.data, settings.model
    _ = data.size, data.named, settings.augmentation, settings.decoding, model.head
    _check_scales(settings)
    parse_best(settings.best, settings.metric_names)
    settled(settings, Variant())
    parse_class_weights(settings.loss_options.class_weights)
    weights = check_loss(settings.loss, settings.model.hierarchical)
    options = {name: getattr(settings.loss_options, name) for name in TAKEN_BY}
    check_progressive(settings)
    check_taken(weights, [n for n in options if options[n] != KEYS[f"loss_options.{n}"].default])
    _check_teacher(settings)


def _check_scales(settings: Settings) -> None:
    """Refuses scales that no run can have, and any but the default where nothing is scaled."""
    default = KEYS["augment_scales"].default
    if settings.scales != default and settings.augmentation != "modern":
        raise HiersegError(
            f"The config's augment_scales is {settings.augment_scales}, which only augment=modern "
            f"takes, and augment is {settings.augmentation}; set augment to modern, or leave "
            "augment_scales out."
        )


def _check_teacher(settings: Settings) -> None:
    """Refuses lessons that can't be given."""
    options, data = settings.teacher_options, settings.data
    _ = options.size
    numbers = all(type(scale) in (int, float) for scale in options.scales)
    if not options.scales or not numbers or not all(0 < scale <= 4 for scale in options.scales):
        raise HiersegError(
            f"The config's teacher_options.scales is {options.scales!r}; it must be one factor or "
            "more, each above 0 and at most 4."
        )
    if not settings.teachers:
        if data.unlabelled:
            raise HiersegError(
                f"The config's data.unlabelled is {data.unlabelled!r}, and nothing tells a run "
                "what its pictures show but a teacher; set teacher, or leave data.unlabelled empty."
            )
        return
    if options.scores == "once" and settings.mixing.of_several:
        raise HiersegError(
            "The config's mixing makes one picture of several, and scores that a teacher computes "
            "once are those of one; set teacher_options.scores to each_step, or mixing.mosaic, "
            "copy_paste, cutmix and mixup to 0."
        )
    if settings.augmentation != "reference":
        return
    if options.scores == "once":
        raise HiersegError(
            "The config's augment is reference, which turns and bends pictures, and scores that a "
            "teacher computes once don't follow it; set augment to modern or none, or "
            "teacher_options.scores to each_step."
        )
    if data.resize == "letterbox":
        raise HiersegError(
            "The config's augment is reference, which moves the bars of data.resize=letterbox out "
            "of a teacher's sight; set augment to modern or none, or data.resize to stretch or "
            "crop."
        )


def check_progressive(settings: Settings) -> None:
    """Refuses phases of progressive resizing that no run can have.

    Raises:
      ValueError: naming the key.
    """
    given = settings.progressive
    if not all(type(share) in (int, float) and 0 < share <= 1 for share in given):
        raise HiersegError(
            f"The config's progressive is {given}; it must be shares of data.image_size, each "
            "above 0 and at most 1."
        )
    if len(given) > settings.epochs:
        raise HiersegError(
            f"The config's progressive has {len(given)} sizes, one after another, and the run has "
            f"{counted(settings.epochs, 'epoch')}; give it as many sizes at most."
        )


def check_value(name: str, value: Any, key: Key) -> None:
    """Refuses a value beyond the key's bounds or beside its choices.

    Raises:
      ValueError: naming the key, the value, and what it may be.
    """
    if key.least is not None and value < key.least:
        wanted = f"at least {key.least}"
    elif key.least is not None and value > key.most:
        wanted = f"at most {key.most}"
    elif key.within and not _lies_within(value, key.within):
        wanted = _in_words(key.within)
    elif key.choices and value not in key.choices:
        value, wanted = repr(value), f"{', '.join(key.choices[:-1])} or {key.choices[-1]}"
    else:
        return
    raise HiersegError(f"The config's {name} is {value}; it must be {wanted}.")


def _ends(interval: str) -> tuple[float, float]:
    low, high = interval[1:-1].split(",")
    return float(low), float(high)


def _lies_within(value: float, interval: str) -> bool:
    low, high = _ends(interval)
    above = value >= low if interval[0] == "[" else value > low
    return above and (value <= high if interval[-1] == "]" else value < high)


def _in_words(interval: str) -> str:
    """`[0, 1)` -> `0 or more and below 1`."""
    low, high = _ends(interval)
    words = f"{low:g} or more" if interval[0] == "[" else f"above {low:g}"
    if high == float("inf"):
        return words
    return f"{words} and {'at most' if interval[-1] == ']' else 'below'} {high:g}"
