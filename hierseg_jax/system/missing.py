"""Packages that the small installation leaves out, and the sentence where one is asked for."""

OF_TRAINING = {
    "PIL": "pillow",
    "filelock": "filelock",
    "flax": "flax",
    "grain": "grain",
    "importlib_resources": "importlib_resources",
    "jax": "jax",
    "jax2onnx": "jax2onnx",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
    "ml_collections": "ml-collections",
    "onnx": "jax2onnx",
    "optax": "optax",
    "orbax": "orbax-checkpoint",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "tensorboardX": "tensorboardX",
    "tensorflow_datasets": "tensorflow-datasets",
}
"""Module -> package that brings it, of all that the extra `train` of pyproject.toml names."""


def installation_of(extra: str) -> str:
    """What to type for an extra of pyproject.toml. No release is on PyPI yet."""
    return f"pip install '.[{extra}]' in the project's folder"


def missing_sentence(what: str, error: ModuleNotFoundError) -> str:
    """Why `what`, such as a command, can't run here, and what to do; "" for any other module."""
    package = OF_TRAINING.get((error.name or "").partition(".")[0])
    if package is None:
        return ""
    return (
        f"{what} needs {package} and more, which the small installation leaves out: "
        f"{installation_of('train')}."
    )
