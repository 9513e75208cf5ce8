"""All that a run can be told, read once and typed; and what parts of it build.

`read_settings` reads a config, `read_stored` what a checkpoint or run holds of one. A key is
declared in one place, in settings.py or a file of a section; configs/default.py is written from
there.

May import: models, losses, data, tree, system.
"""

from hierseg_jax.settings.data_section import DataSettings
from hierseg_jax.settings.model_section import ModelSettings
from hierseg_jax.settings.reading import read_settings, read_stored
from hierseg_jax.settings.settings import Settings
from hierseg_jax.settings.training_sections import (
    LossSettings,
    MixingSettings,
    OptimizerSettings,
    ScheduleSettings,
    TeacherSettings,
)

__all__ = [
    "DataSettings",
    "LossSettings",
    "MixingSettings",
    "ModelSettings",
    "OptimizerSettings",
    "ScheduleSettings",
    "Settings",
    "TeacherSettings",
    "read_settings",
    "read_stored",
]
