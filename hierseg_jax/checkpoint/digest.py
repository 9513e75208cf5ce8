"""Hashes of what a checkpoint holds, and of files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np


def json_digest(content: Any) -> str:
    """SHA-256 of plain JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_digest(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digest(tree: Any) -> str:
    """SHA-256 over all arrays with their dtypes and shapes, in the order of the tree."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
