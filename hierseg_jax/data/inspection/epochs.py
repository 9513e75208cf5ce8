"""How long to train on few pictures."""

from hierseg_jax.system.wording import counted

# Of configs/tree.py, which was measured with 700 pictures.
RECIPE_EPOCHS, RECIPE_PICTURES = 30, 700
# The most that are proposed: enough for 25 pictures. Fewer are seen as often in all, up to an end.
_MOST, _ENOUGH_FOR, _END = 200, 25, 1000
START_RATE = 1e-4
"""Of AdamW's steps from a trained network on few pictures; docs/first_data_set.md has figures."""


def choose_epochs(images: int) -> int:
    """As many as the recipe has, or of few images more, in tens; docs/first_data_set.md."""
    wanted = max(RECIPE_EPOCHS, RECIPE_EPOCHS * RECIPE_PICTURES / images)
    most = min(max(_MOST, _MOST * _ENOUGH_FOR / images), _END)
    return round(min(wanted, most) / 10) * 10


def too_short(images: int, epochs: int) -> str:
    """A sentence where the recipe's epochs leave much unlearned of so few pictures, or ""."""
    wanted = choose_epochs(images) if images else 0
    if wanted < 2 * epochs:
        return ""
    return (
        f"So few pictures ({images}) take more than {counted(epochs, 'epoch')}: a network learns "
        f"more from them with --epochs={wanted} (docs/first_data_set.md)."
    )


def too_fast(images: int, learning_rate: float) -> str:
    """A sentence where steps from a trained network leave it little of what it knows, or ""."""
    if choose_epochs(max(images, 1)) == RECIPE_EPOCHS or learning_rate < 3 * START_RATE:
        return ""
    return (
        f"Few pictures ({images}) and a network that is trained already: it keeps more of what it "
        f"knows with --config.learning_rate={START_RATE:g} (docs/first_data_set.md)."
    )
