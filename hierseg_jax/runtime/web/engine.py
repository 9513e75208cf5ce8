"""The files of onnxruntime-web: from an installed npm package, or addresses of its releases."""

import base64
import dataclasses
import hashlib
import json
from pathlib import Path

from hierseg_jax.system.errors import HiersegError, HiersegFileNotFoundError
from hierseg_jax.system.paths import local_path

VERSION = "1.30.0"
CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/"
PLACE = Path("node_modules/onnxruntime-web/dist")
"""Of an installed package, from the folder where `npm install onnxruntime-web` was given."""
# Subresource Integrity (SHA-384) of the files in the npm package of that version: for the
# processor, then for WebGPU.
DIGESTS = {
    "ort.wasm.min.mjs": "SfFfy/pvthiOsgaw3KX0bV5TfQ6Iq+oY9KutMe4SxIuHH4cl+DCSD4rTsYOoG1tJ",
    "ort-wasm-simd-threaded.mjs": (
        "XcXA/MtAf0WpB8e023xQH9CM7RIjiugakT7x99DIwpFf7k56BIFFcAPerIF7FDad"
    ),
    "ort-wasm-simd-threaded.wasm": (
        "vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM"
    ),
    "ort.webgpu.min.mjs": "FPQBMbud8ICuP0Ii+Gr95KWEX9pKHtUC3lacIp0aPI8WYluKvTsEGQ3AE2Ze3QlL",
    "ort-wasm-simd-threaded.asyncify.mjs": (
        "qViEcCGzsR/m8nlQwIsbYh7afN4thuraqFYDQY6huvmoLVoZq/eYawQ1wrv8nnhA"
    ),
    "ort-wasm-simd-threaded.asyncify.wasm": (
        "EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR"
    ),
}


@dataclasses.dataclass(frozen=True)
class Engine:
    """onnxruntime-web, as a page loads it.

    Attributes:
      version: of the npm package.
      base: address of the folder with its files, as the page sees it.
      integrity: of every file, as browsers check it.
      files: to be copied to that folder, by name; none where it is elsewhere.
    """

    version: str
    base: str
    integrity: dict[str, str]
    files: dict[str, bytes]

    @property
    def told(self) -> dict[str, object]:
        """What the page reads, plain JSON."""
        return {"version": self.version, "base": self.base, "files": self.integrity}


def find_engine(folder: str | None) -> Engine:
    """The package in a folder, or in `node_modules` here, or else the CDN.

    Args:
      folder: with the package's files, or the package itself; None to look for it.

    Raises:
      HiersegError: the folder lacks a file, or the package is of another version's layout.
    """
    if folder is None:
        if (PLACE / "ort.wasm.min.mjs").is_file():
            return _installed(PLACE)
        return Engine(VERSION, CDN, {name: f"sha384-{sha}" for name, sha in DIGESTS.items()}, {})
    given = local_path(folder)
    return _installed(given / "dist" if (given / "dist").is_dir() else given)


def _installed(dist: Path) -> Engine:
    missing = [name for name in DIGESTS if not (dist / name).is_file()]
    if missing:
        raise HiersegFileNotFoundError(
            f"{dist} lacks {missing[0]}; give --runtime the folder dist of onnxruntime-web "
            f"{VERSION} (npm install onnxruntime-web@{VERSION}), or leave it out."
        )
    files = {name: (dist / name).read_bytes() for name in DIGESTS}
    integrity = {
        name: f"sha384-{base64.b64encode(hashlib.sha384(data).digest()).decode()}"
        for name, data in files.items()
    }
    return Engine(_version(dist.parent / "package.json"), "runtime/", integrity, files)


def _version(file: Path) -> str:
    """Of a package; "?" where its description is not beside its files."""
    if not file.is_file():
        return "?"
    try:
        return str(json.loads(file.read_bytes())["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise HiersegError(
            f"{file} is no description of an npm package; install it again."
        ) from error
