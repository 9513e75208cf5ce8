"""Configs by name: the files of configs/, in a checkout or inside the installed package."""

import importlib.util
from pathlib import Path

import ml_collections

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

    A config of your own begins with one of them and may lie anywhere.
    """
    file = config_file(name)
    spec = importlib.util.spec_from_file_location(f"{__name__}.{name}", file)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"There is no config {name!r} in {file.parent}.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()
