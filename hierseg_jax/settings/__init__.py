"""All that a run can be told, read once and typed; and what parts of it build.

`read_settings` reads a config, `read_stored` what a checkpoint or run holds of one. A key is
declared in sections.py or settings.py, in one place; configs/default.py is written from there.

May import: models, losses, data, tree, system.
"""

from hierseg_jax.settings.reading import read_settings, read_stored
from hierseg_jax.settings.sections import (
    DataSettings,
    LossSettings,
    ModelSettings,
    OptimizerSettings,
    ScheduleSettings,
)
from hierseg_jax.settings.settings import Settings

__all__ = [
    "DataSettings",
    "LossSettings",
    "ModelSettings",
    "OptimizerSettings",
    "ScheduleSettings",
    "Settings",
    "read_settings",
    "read_stored",
]
