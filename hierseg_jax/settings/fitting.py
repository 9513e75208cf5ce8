"""Settings fitted to a network and its weights, which decide what was left to them."""

from hierseg_jax.data.sizes import format_size, nearest_multiple
from hierseg_jax.models import Variant
from hierseg_jax.settings.model_section import AUTO
from hierseg_jax.settings.settings import Settings


def fitted(settings: Settings, stride: int) -> tuple[Settings, str]:
    """With a `data.image_size` that the network takes: sides rounded to its stride.

    Returns:
      The settings; a sentence that says so, empty where nothing was rounded.
    """
    asked = settings.data.size
    height, width = taken = tuple(nearest_multiple(side, stride) for side in asked)
    note = (
        f"data.image_size {format_size(asked)} is rounded to {format_size(taken)}, since "
        f"{settings.model.name} takes multiples of {stride}."
    )
    side = height if height == width else taken
    return settings.replace({"data.image_size": side}), "" if taken == asked else note


def settled(settings: Settings, variant: Variant) -> Settings:
    """With the weights' decisions on what was left to them.

    Args:
      settings: of a run; `AUTO` stands where they leave something to its pretrained weights.
      variant: that these want.

    Raises:
      ValueError: for a value that no backbone takes.
    """
    given = {name: getattr(settings.model, name) for name in AUTO}
    values = {n: getattr(variant, n) if given[n] == AUTO[n] else given[n] for n in AUTO}
    Variant(**values)
    return settings.replace({f"model.{name}": value for name, value in values.items()})
