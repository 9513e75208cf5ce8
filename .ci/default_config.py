"""Prints configs/default.py, from which users learn the keys.

python .ci/default_config.py > configs/default.py
"""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from hierseg_jax.settings.key import Key
from hierseg_jax.settings.settings import KEYS

_WIDTH = 100
_HEAD = '''\
"""Every key of a training run, with its unit. The other files change a few.

hierseg train --config=default --config.data.spec=data.yaml --workdir=runs/a

Written by `python .ci/default_config.py > configs/default.py`, from the keys that
hierseg_jax/settings declares. "The reference" is the PyTorch code whose networks, losses and
training this project reproduces.
"""

import ml_collections
from ml_collections import config_dict


def get_config() -> ml_collections.ConfigDict:
    """The reference's defaults, with its defects mended."""
    config = ml_collections.ConfigDict()
'''


def format_default_file() -> str:
    """Python, formatted."""
    return "\n".join(
        [_HEAD, *_lines(), "    return config.lock()  # a key that there is not is an error", ""]
    )


def _lines() -> Iterator[str]:
    before = None
    for name, key in KEYS.items():
        section = name.rpartition(".")[0]
        if section != before:
            if before is not None:
                yield ""
            if section:
                yield f"    config.{section} = ml_collections.ConfigDict()"
        before = section
        yield from _assignment(name, key)


def _assignment(name: str, key: Key) -> Iterator[str]:
    value = _literal(key.default)
    if key.several:
        value = f"config_dict.FieldReference({value}, field_type=object)"
    line = f"    config.{name} = {value}"
    if len(line) + 4 + len(key.meaning) <= _WIDTH:
        yield f"{line}  # {key.meaning}"
        return
    yield from (f"    # {part}" for part in textwrap.wrap(key.meaning, _WIDTH - 6))
    yield line


def _literal(value: Any) -> str:
    """As ruff formats it, with double quotes."""
    if isinstance(value, tuple):
        inside = ", ".join(map(_literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return json.dumps(value) if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    print(format_default_file(), end="")
