"""Files of several pictures, of which the first is read: TIFFs of pages, slices or moments."""

from collections.abc import Sequence

from hierseg_jax.data.prepare.picture import Picture
from hierseg_jax.data.read.unread import is_stack
from hierseg_jax.system.wording import counted


def about_stacks(pictures: Sequence[Picture]) -> tuple[str, ...]:
    """A sentence about such pictures and masks, if there are some."""
    files = dict.fromkeys(file for of in pictures for file in (of.image, of.mask))
    stacks = [file for file in files if is_stack(file)]
    if not stacks:
        return ()
    hold = "holds" if len(stacks) == 1 else "hold"
    return (
        f"{counted(len(stacks), 'file')} {hold} several pictures, of which the first is read, such "
        f"as {stacks[0]}. Save the others as files of their own, if they are meant.",
    )
