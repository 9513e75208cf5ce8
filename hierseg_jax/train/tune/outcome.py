"""What came of a trial, for reports."""

import dataclasses
from collections.abc import Mapping, Sequence

from hierseg_jax.train.tune.space import Value

COMPLETE, PRUNED = "complete", "pruned"
DIVERGED, OUT_OF_MEMORY, UNDEFINED = "diverged", "out of memory", "undefined"
FAILED, RUNNING = "failed", "running"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One trial.

    Attributes:
      number: from 0.
      state: one of the words above; `running` also of one whose process has ended.
      values: by dotted key of the config.
      result: the metric's, of a complete trial: of its best epoch; of others: of the last
        epoch, or None.
      epochs: that were finished.
      seconds: from its start to its end, or None.
      note: why it ended early, or empty.
    """

    number: int
    state: str
    values: Mapping[str, Value]
    result: float | None = None
    epochs: int = 0
    seconds: float | None = None
    note: str = ""


def best_outcome(outcomes: Sequence[Outcome], maximized: bool) -> Outcome | None:
    """The best complete trial, the first of equals; None where there is none."""
    complete = [(o.result, o) for o in outcomes if o.state == COMPLETE and o.result is not None]
    sign = -1 if maximized else 1
    _, best = min(complete, key=lambda found: sign * found[0], default=(None, None))
    return best
