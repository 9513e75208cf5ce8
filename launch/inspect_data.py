"""Looks a data set over: faults, duplicates, odd masks, statistics, settings to train with.

python launch/inspect_data.py --data=data.yaml --output=inspection
"""

import sys
from pathlib import Path

import cv2
from absl import flags

from hierseg_jax.data.inspection.findings import ERROR, count_severities
from hierseg_jax.data.inspection.inspect_dataset import DISTANCE, inspect_dataset
from hierseg_jax.data.inspection.inspection_page import format_page
from hierseg_jax.data.inspection.result import make_report, report_files, write_report
from hierseg_jax.data.inspection.text import format_report
from hierseg_jax.data.read.spec import load_spec
from hierseg_jax.runtime.outputs import refuse_existing
from hierseg_jax.system.atomic_writing import make_folder
from hierseg_jax.system.command_line import run

_DATA = flags.DEFINE_string("data", None, "The data set's data.yaml.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for report.html and report.txt.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace existing reports.")
_JSON = flags.DEFINE_bool("json", False, "Write report.json too, with every finding.")
_LIMIT = flags.DEFINE_integer("limit", 20, "Findings of a kind to list at most.", 1)
_DISTANCE = flags.DEFINE_integer(
    "distance", DISTANCE, "Bits, of 64, in which near-duplicates' hashes differ at most.", 0, 16
)
_MEMORY_GB = flags.DEFINE_float("memory_gb", None, "To plan the batch for; this machine's.", 0.1)
flags.mark_flags_as_required(["data", "output"])


def main() -> None:
    """Writes and prints the report; exit status 1 where training would fail on the data."""
    # Images are already looked at in parallel; and OpenCV reports damaged ones in its own words.
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(0)
    spec, folder = load_spec(_DATA.value), Path(_OUTPUT.value)
    files = report_files(folder, _JSON.value)
    refuse_existing(list(files.values()), _OVERWRITE.value)
    make_folder(folder)
    inspection = inspect_dataset(spec, _DISTANCE.value)
    # Only now: with the networks comes JAX, which looking at the data does without.
    from hierseg_jax.settings import ModelSettings

    peak_gb = ModelSettings().network.training_memory.peak_gb
    report = make_report(inspection, peak_gb, limit=_LIMIT.value, memory_gb=_MEMORY_GB.value)
    text = format_report(report)
    write_report(report, text, format_page(report), files)
    print(f"{text}\n\nWritten to {', '.join(map(str, files.values()))}")
    errors = count_severities(inspection.findings)[ERROR]
    if errors:
        sys.exit(
            f"error: training or evaluation would stop at {errors:,} of these; mend them first."
        )


if __name__ == "__main__":
    run(main)
