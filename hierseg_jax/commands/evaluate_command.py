"""Evaluates every level of a trained network, or of an exported file, on a split.

hierseg evaluate runs/figures --task=val
hierseg evaluate mine.onnx --data=data.yaml --output=measured
"""

from pathlib import Path

from hierseg_jax.checkpoint.same_checkpoint import open_same_checkpoint
from hierseg_jax.commands.shared_flags import define_checkpoint, define_hosts
from hierseg_jax.evaluation.evaluate import evaluate_checkpoint
from hierseg_jax.evaluation.evaluation_files import (
    FILES,
    METRICS_FILE,
    REPORT_FILE,
    check_output,
    earlier_lead,
    write_evaluation,
)
from hierseg_jax.evaluation.page.commands import export_commands, larger_command, size_flag
from hierseg_jax.evaluation.page.evaluation_page import EXTREMES, EvaluationReport, format_page
from hierseg_jax.evaluation.page.history import read_history
from hierseg_jax.evaluation.tables import (
    describe_view,
    format_data_sets,
    format_levels,
    lines_beside,
    to_json,
)
from hierseg_jax.evaluation.view import RESOLUTIONS, View
from hierseg_jax.evaluation.view_name import BATCH_SIZE, BEST, evaluation_name
from hierseg_jax.runtime.packaged_network import network_file
from hierseg_jax.settings.metric_choice import DEFAULT_METRICS, METRICS, parse_metrics
from hierseg_jax.system.atomic_writing import check_room
from hierseg_jax.system.command_flags import CommandFlags
from hierseg_jax.system.command_line import command, parse_size
from hierseg_jax.system.devices.hosts import count_hosts, is_main
from hierseg_jax.system.errors import HiersegError
from hierseg_jax.system.paths import as_path
from hierseg_jax.system.process import set_up_process
from hierseg_jax.system.wording import counted
from hierseg_jax.tree.decoding import AUTO, DECODINGS

# Flags without a meaning for an exported file.
_OF_RUNS = (
    *("which", "decode", "flip", "scales", "batch_size", "worker_count"),
    *("coordinator", "num_processes", "process_id"),
)

FLAGS = CommandFlags()
_CHECKPOINT, _WHICH = define_checkpoint(
    FLAGS, "A run's workdir, a checkpoint's folder, or an exported .onnx."
)
_DATA = FLAGS.string(
    "data",
    None,
    "Other data, whose classes have a place in the tree; the run's own. A file has none.",
)
_TASK = FLAGS.enum("task", "val", ["val", "test"], "The split.")
_OUTPUT = FLAGS.string(
    "output",
    None,
    "Folder for report.html and its numbers; CHECKPOINT/evaluation/TASK, with a name of its own "
    "for every other view.",
)
_IMAGE_SIZE = FLAGS.list(
    "image_size", None, "Another side, or height,width, in pixels; the run's own."
)
_BATCH_SIZE = FLAGS.integer("batch_size", BATCH_SIZE, "Images at a time, over all devices.")
_WORKER_COUNT = FLAGS.integer(
    "worker_count", None, "Processes that read, 0 for threads of this one; as in the run."
)
_METRICS = FLAGS.list(
    "metrics", None, f"Columns of the table, of {', '.join(METRICS)}; the run's own."
)
_RESOLUTION = FLAGS.enum(
    "resolution",
    None,
    RESOLUTIONS,
    "The pixels that are counted: network (default), original, or refined: original, with "
    "borders along the pictures' edges, as predict draws pictures, and by default of a file.",
)
_TILES = FLAGS.bool(
    "tiles",
    False,
    "See pictures on their own pixels, in overlapping windows of the network's size.",
)
_FLIP = FLAGS.bool(
    "flip", False, "Average over the mirrored pictures as well, the data's pairs exchanged."
)
_SCALES = FLAGS.list("scales", ["1"], "Average over these factors on the sides.")
_DECODE = FLAGS.enum("decode", None, (AUTO, *DECODINGS), "Another decoding rule; the run's own.")
_join_hosts = define_hosts(FLAGS)


def parse_scales(values: list[str]) -> tuple[float, ...]:
    """The value of `--scales`.

    Raises:
      ValueError: for what is no number above 0 and at most 4.
    """
    try:
        scales = tuple(map(float, values))
    except ValueError:
        scales = ()
    if not scales or not all(0 < scale <= 4 for scale in scales):
        raise HiersegError(
            f"--scales is {','.join(values)!r}; give factors above 0 and up to 4, such as "
            "0.75,1,1.25."
        )
    return scales


@command(FLAGS, bare="checkpoint")
def main() -> None:
    """Prints the table and writes report.html and its numbers."""
    set_up_process()
    if _OUTPUT.value is not None:
        check_output(as_path(_OUTPUT.value))
    if (file := _exported_file()) is not None:
        _evaluate_file(file)
        return
    _join_hosts()
    loaded = open_same_checkpoint(_CHECKPOINT.value, _WHICH.value)
    given = as_path(_CHECKPOINT.value)
    if _OUTPUT.value is None and is_main():
        check_room(given / "evaluation")
    evaluation, description = evaluate_checkpoint(
        loaded,
        task=_TASK.value,
        data=_DATA.value,
        batch_size=_BATCH_SIZE.value,
        decode=_DECODE.value,
        metrics=None if _METRICS.value is None else parse_metrics(_METRICS.value, "--metrics"),
        view=View(
            image_size=parse_size(_IMAGE_SIZE.value),
            resolution=_RESOLUTION.value,
            scales=parse_scales(_SCALES.value),
            flip=_FLIP.value,
            tiles=_TILES.value,
        ),
        num_extremes=EXTREMES,
        worker_count=_WORKER_COUNT.value,
    )
    if not is_main():
        return
    which = BEST if loaded.path == given else _WHICH.value
    name = evaluation_name(description, loaded.settings, which)
    default = given / "evaluation" / name
    folder = default if _OUTPUT.value is None else as_path(_OUTPUT.value)
    history = read_history(loaded.path)
    trained = history.rows[-1]["epoch"] if history.rows else None
    content = to_json(evaluation, description) | {"epochs_trained": trained}
    report = EvaluationReport(
        metrics=content,
        evaluation=evaluation,
        meta=loaded.meta,
        settings=loaded.settings,
        hierarchy=loaded.hierarchy,
        history=history,
        output=folder,
        processes=count_hosts(),
    )
    told = _write(report)
    named = given if which == BEST else loaded.path
    seen = content | {"checkpoint": named}
    larger = larger_command(seen, loaded.settings)
    if size_flag(content, loaded.settings) and content["task"] == "val":
        of_own_size = seen | {"image_size": loaded.settings.data.size}
        folder = given / "evaluation" / evaluation_name(of_own_size, loaded.settings, which)
        if (lead := earlier_lead(folder / METRICS_FILE, content)) > 0:
            told += f"\nWorse by {lead:.4f} of mIoU than at the size of training ({folder})."
            seen = of_own_size
    deploy, _ = export_commands(seen, loaded.settings)
    print(
        f"{told}\nNext: {' '.join(deploy)}"
        + (f"\nPerhaps better, at a larger size: {' '.join(larger)}" if larger else "")
    )


def _exported_file() -> Path | None:
    """The file that is to be evaluated in place of a run, if it is one."""
    given = network_file(_CHECKPOINT.value)
    return given if given.suffix.lower() == ".onnx" else None


def _evaluate_file(file: Path) -> None:
    """As `main`, of an exported file."""
    for name in _OF_RUNS:
        if FLAGS[name].present:
            raise HiersegError(
                f"--{name} is for runs, and {file} is an exported file; leave it out."
            )
    if _RESOLUTION.value == "network":
        raise HiersegError(
            "--resolution=network is for runs. An exported file is measured on the pictures' own "
            "pixels: give refined, or original."
        )
    data, output = _DATA.value, _OUTPUT.value
    if data is None or output is None:
        missing = [f"--{flag.name}" for flag in (_DATA, _OUTPUT) if flag.value is None]
        raise HiersegError(
            f"{file} is an exported file, which knows neither data nor a folder for the result; "
            f"give {' and '.join(missing)} as well."
        )
    # What runs need no onnxruntime for.
    from hierseg_jax.bridge.file_evaluation import evaluate_file

    evaluation, description, hierarchy = evaluate_file(
        file,
        data,
        task=_TASK.value,
        resolution=_RESOLUTION.value,
        tiles=_TILES.value,
        image_size=parse_size(_IMAGE_SIZE.value),
        metrics=parse_metrics(_METRICS.value or DEFAULT_METRICS, "--metrics"),
        num_extremes=EXTREMES,
    )
    content, folder = to_json(evaluation, description), as_path(output)
    print(_write(EvaluationReport(content, evaluation, content, None, hierarchy, None, folder)))


def _write(report: EvaluationReport) -> str:
    """Writes an evaluation; returns what is printed of it."""
    content, evaluation, folder = report.metrics, report.evaluation, report.output
    write_evaluation(folder, content, evaluation, format_page(report))
    levels, columns = evaluation.levels, content["metrics"]
    epoch = f" (epoch {content['epoch']})" if content["epoch"] else ""
    precision = f" in {content['precision']}" if "precision" in content else ""
    return (
        f"{content['model']}{precision}{epoch} on {content['data']}, {content['task']}: "
        f"{describe_view(content, counted(evaluation.num_images, 'image'))}\n"
        f"{format_levels(levels, columns)}\n"
        + "".join(f"{line}\n" for line in lines_beside(evaluation, report.hierarchy, content))
        + format_data_sets(evaluation.data_sets, tuple(levels), columns)
        + f"Written to {folder / REPORT_FILE}, and beside it "
        + ", ".join(name for name in FILES if name != REPORT_FILE)
    )
