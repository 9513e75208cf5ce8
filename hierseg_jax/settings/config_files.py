"""Configs by name: the files of configs/, in a checkout or inside the installed package."""

import importlib.util
from pathlib import Path

import ml_collections

from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.wording import did_you_mean

_PACKAGE = Path(__file__).resolve().parents[1]


def configs_folder() -> Path:
    """With the files `NAME.py`, `tune_space.yaml`, and trees of classes."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def config_names() -> tuple[str, ...]:
    """Of the configs that come with the package."""
    return tuple(sorted(file.stem for file in configs_folder().glob("*.py")))


def config_file(name: str) -> Path:
    """Of a config that comes with the package."""
    return configs_folder() / f"{name}.py"


def config_called(file: str) -> str:
    """How a command names that file: by its name where it comes with the package."""
    path = Path(file).resolve()
    return path.stem if path == config_file(path.stem).resolve() else file


def load_config(name: str) -> ml_collections.ConfigDict:
    """A config that comes with the package, to be changed.

    A config of your own begins with one of them and may lie anywhere. A key that there is not
    can't be set in it, for that mostly is a slip; `with config.unlocked():` sets one of your own.

    Raises:
      HiersegError: a sentence, for another name.
    """
    names = config_names()
    if name not in names:
        known = f"there are {', '.join(names)}."
        hint = did_you_mean(Path(str(name)).stem, names, known)
        raise HiersegError(f"There is no config {name!r} in {configs_folder()}; {hint}")
    spec = importlib.util.spec_from_file_location(f"{__name__}.{name}", config_file(name))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()
