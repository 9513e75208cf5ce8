"""Looks a data set over: faults, duplicates, odd masks, statistics, settings to train with.

hierseg inspect data.yaml --output=inspection

Of several data sets (`--data="a.yaml + b.yaml"`) each has a report of its own, in their common
tree; what only a look at all of them shows is printed at the end.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from hierseg_jax.data.inspection.findings import ERROR, count_severities
from hierseg_jax.data.inspection.inspect_dataset import DISTANCE, Inspection, inspect_dataset
from hierseg_jax.data.inspection.inspection_page import format_page
from hierseg_jax.data.inspection.report_files import (
    Report,
    make_report,
    report_files,
    write_report,
)
from hierseg_jax.data.inspection.several import inspect_together
from hierseg_jax.data.inspection.suggest import Start
from hierseg_jax.data.inspection.text import format_findings, format_report, format_suggestion
from hierseg_jax.data.read.common_tree import load_hierarchy, read_data_sets
from hierseg_jax.data.read.members import Kind, parse_members
from hierseg_jax.data.read.spec import DatasetSpec
from hierseg_jax.runtime.outputs import refuse_existing
from hierseg_jax.runtime.packaged_network import NAME, packaged_metadata
from hierseg_jax.system.atomic_writing import make_folder
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import local_path

FLAGS = CommandFlags()
_DATA = FLAGS.string(
    "data", None, "The data set's data.yaml; or several, joined by ` + `.", required=True
)
_OUTPUT = FLAGS.string("output", None, "Folder for report.html and report.txt.", required=True)
_OVERWRITE = FLAGS.bool("overwrite", False, "Replace existing reports.")
_JSON = FLAGS.bool("json", False, "Write report.json too, with every finding.")
_LIMIT = FLAGS.integer("limit", 20, "Findings of a kind to list at most.", 1)
_DISTANCE = FLAGS.integer(
    "distance", DISTANCE, "Bits, of 64, in which near-duplicates' hashes differ at most.", 0, 16
)
_MEMORY_GB = FLAGS.float("memory_gb", None, "To plan the batch for; this machine's.", 0.1)


@command(FLAGS, bare="data")
def main() -> None:
    """Writes and prints the report; exit status 1 where training would fail on the data."""
    # Images are already looked at in parallel.
    cv2.setNumThreads(1)
    output = local_path(_OUTPUT.value)
    for member in parse_members(_DATA.value):
        if member.kind is not Kind.FILE:
            raise HiersegError(f"{member.name} has no files to look at; leave it out of --data.")
    specs = [of.spec for of in read_data_sets(_DATA.value) if of.spec is not None]
    folders = [output]
    if len(specs) > 1:
        tree = load_hierarchy(_DATA.value)
        specs = [spec.in_tree(tree) for spec in specs]
        folders = [output / _folder_name(i, spec) for i, spec in enumerate(specs, start=1)]
    files = [report_files(folder, _JSON.value) for folder in folders]
    refuse_existing([file for each in files for file in each.values()], _OVERWRITE.value)
    for folder in folders:
        make_folder(folder)
    alone = len(specs) == 1
    inspections = [inspect_dataset(spec, _DISTANCE.value, alone=alone) for spec in specs]
    reports = [
        _report(inspection, inspections, of_one)
        for inspection, of_one in zip(inspections, files, strict=True)
    ]
    errors = sum(count_severities(each.findings)[ERROR] for each in inspections)
    if not alone:
        together = inspect_together(inspections, _DISTANCE.value, _LIMIT.value)
        lines = [f"  - {severity}: {sentence}" for severity, sentence in together]
        print("\n".join(["All together:", *(lines or ["  nothing more found"])]))
        errors += sum(severity == ERROR for severity, _ in together)
        print(f"\n{format_suggestion(reports[0])}")
    if errors:
        sys.exit(
            f"error: training or evaluation would stop at {errors:,} of these; mend them first."
        )


def _report(
    inspection: Inspection, together: Sequence[Inspection], files: dict[str, Path]
) -> Report:
    """Writes and prints the report of one data set of those that are looked at together.

    The suggestion is the same for all of several, and is printed behind what all have.
    """
    # Only now: with the networks comes JAX, which looking at the data does without.
    from hierseg_jax.commands.short_forms import unused_name
    from hierseg_jax.settings import ModelSettings

    peak_gb = ModelSettings().network.training_memory.peak_gb
    report = make_report(
        inspection,
        peak_gb,
        limit=_LIMIT.value,
        memory_gb=_MEMORY_GB.value,
        data=_DATA.value if len(together) > 1 else "",
        together=together,
        start=packaged_start(),
        run_name=unused_name(),
    )
    text = format_report(report)
    write_report(report, text, format_page(report), files)
    shown, end = (text, "\n") if report.alone else (format_findings(report), "\n\n")
    print(f"{shown}\n\nWritten to {', '.join(map(str, files.values()))}", end=end)
    return report


def packaged_start() -> Start:
    """The network in the package, as something to begin with."""
    told = packaged_metadata()
    levels = tuple(tuple(level["class_names"]) for level in told["levels"])
    return Start(NAME, levels, told["image_size"][0], told["resize"])


def _folder_name(number: int, spec: DatasetSpec) -> str:
    """Of one of several data sets, most of which are `NAME/data.yaml`."""
    return f"{number}_{spec.file.parent.name[:40]}_{spec.file.stem[:40]}"
