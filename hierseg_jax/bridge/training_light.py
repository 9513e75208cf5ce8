"""How bright a run's training pictures are: its exports have darker ones brought to that."""

from hierseg_jax.checkpoint import Checkpoint
from hierseg_jax.data.brightening import BRIGHT, LEAST, light
from hierseg_jax.data.read.members import Spec
from hierseg_jax.data.read.source import Source
from hierseg_jax.data.read.spread import spread_indices
from hierseg_jax.data.resize import Resize
from hierseg_jax.settings.building import open_source, spec_of_checkpoint
from hierseg_jax.system.bars import bar
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.notes import note

LOOKS = 64
"""Training pictures that are looked at."""
DARKER = 20
"""One in so many may be darker than the others are said to be."""


def training_light(
    loaded: Checkpoint, data: str | None, size: tuple[int, int], asked: bool = False
) -> int | None:
    """The light that darker pictures are to be brought to, for `Metadata.bright`.

    None where a network is to see pictures as the reference does, where the training pictures are
    so dark themselves that nothing is darker, or, with a note, where they can't be read from here.

    Args:
      loaded: the checkpoint.
      data: a data set in place of its own, where that can't be read.
      size: (height, width) of the network's input.
      asked: whether data is given for this alone: it is looked at, or nothing.

    Raises:
      ValueError, OSError: one sentence, where data that is given for this can't be read.
    """
    data_settings = loaded.settings.data
    if data_settings.sampling == "reference":
        return None
    try:
        source = _training_pictures(loaded, data, asked)
        found = light_of_most(source, size, data_settings.resizing)
    except (HiersegError, OSError) as error:
        if data and asked:
            raise
        note(
            "The file has dark pictures stay dark, for the training pictures can't be looked at: "
            f"{error} If they are photographs in daylight, give --brighten; if not, --nobrighten "
            "ends this note."
        )
        return None
    return found if found > LEAST else None


def _training_pictures(loaded: Checkpoint, data: str | None, asked: bool) -> Source:
    settings = loaded.settings

    def split_of(spec: Spec) -> Source:
        return open_source(settings.data, settings.seed, "train", spec)

    if data and asked:
        return split_of(data)
    try:
        return split_of(spec_of_checkpoint(settings.data, "The checkpoint"))
    except (HiersegError, OSError):
        if data:
            return split_of(data)
        raise


def light_of_most(source: Source, size: tuple[int, int], resize: Resize) -> int:
    """What all pictures reach but one in DARKER, of up to LOOKS of them; BRIGHT at most.

    Args:
      source: of pictures; those that can't be read are passed over.
      size: (height, width) of the network's input.
      resize: how they come to that.

    Raises:
      ValueError: if none can be read.
    """
    lights = []
    looks = spread_indices(len(source), LOOKS)
    for index in bar(looks, "looking at the light", len(looks)):
        try:
            image_hwc = source[index]["image"]
        except (HiersegError, OSError):
            continue  # training tells of it
        placement = resize.place(image_hwc.shape[:2], size)
        lights.append(light(placement.fit_image(image_hwc)[placement.filled.rows_columns]))
    if not lights:
        raise HiersegError("None of them can be read.")
    return min(BRIGHT, sorted(lights)[len(lights) // DARKER])
