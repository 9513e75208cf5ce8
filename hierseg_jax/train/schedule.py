"""The learning rate over a run: exponential, cosine or polynomial decay, after a warm-up."""

import optax

from hierseg_jax.settings import Settings

BY_EPOCHS = ("cosine", "polynomial")
"""Those that depend on the number of epochs."""


def make_schedule(settings: Settings, steps_per_epoch: int) -> optax.Schedule:
    """step -> learning rate.

    `exponential` multiplies the rate by `decay` after every epoch. `cosine` (Loshchilov and
    Hutter, arXiv 1608.03983, without restarts) and `polynomial` (rate x (1 - t)^power, as in
    DeepLab) fall to `schedule.final` x the rate at the last epoch's end, whether or not the
    run stops early. All of it happens after the warm-up, which rises in a line from
    rate / (n + 1) in its first step to the full rate in the step after its n steps. In a run
    that is no longer, those by epochs give it the first half, so that one epoch can be tried.

    Args:
      settings: `learning_rate`, `decay`, `epochs` and those of `schedule`.
      steps_per_epoch: of the training split.
    """
    rate, chosen = settings.learning_rate, settings.schedule
    warmup = round(chosen.warmup_epochs * steps_per_epoch)
    steps = settings.epochs * steps_per_epoch
    if chosen.name in BY_EPOCHS and warmup >= steps:
        warmup = steps // 2
    rest = steps - warmup
    if chosen.name == "cosine":
        schedule = optax.cosine_decay_schedule(rate, rest, alpha=chosen.final)
    elif chosen.name == "polynomial":
        schedule = optax.polynomial_schedule(rate, rate * chosen.final, chosen.power, rest)
    else:
        schedule = optax.exponential_decay(rate, steps_per_epoch, settings.decay, staircase=True)
    if not warmup:
        return schedule
    rise = optax.linear_schedule(rate / (warmup + 1), rate, warmup)
    return optax.join_schedules([rise, schedule], [warmup])
