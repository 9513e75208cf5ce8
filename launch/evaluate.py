"""Evaluates every level of a trained network on a split.

python launch/evaluate.py --checkpoint=runs/figures --task=val
"""

from pathlib import Path

from absl import flags

from hierseg_jax.checkpoint import read_meta
from hierseg_jax.command_line import parse_size, run
from hierseg_jax.decode import AUTO, DECODINGS
from hierseg_jax.evaluate import evaluate_checkpoint
from hierseg_jax.process import set_up_process
from hierseg_jax.report import format_levels, format_tree, to_json, write_evaluation
from hierseg_jax.resize import format_size
from hierseg_jax.run_report.history import read_history
from hierseg_jax.run_report.page import EXTREMES, RunReport, format_page
from hierseg_jax.train.hosts import count_hosts, is_main, join_hosts

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "A run's workdir or a checkpoint's folder.")
_WHICH = flags.DEFINE_string("which", "best", "Of a workdir: best, last, or an epoch's number.")
_DATA = flags.DEFINE_string("data", None, "Another data set with the same tree; the run's own.")
_TASK = flags.DEFINE_enum("task", "val", ["val", "test"], "The split.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for metrics.json and report.html; CHECKPOINT/evaluation/TASK."
)
_IMAGE_SIZE = flags.DEFINE_list(
    "image_size", None, "Another side, or height,width, in pixels; the run's own."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images at a time, over all devices.")
_DECODE = flags.DEFINE_enum(
    "decode", None, (AUTO, *DECODINGS), "Another decoding rule; the run's own."
)
_COORDINATOR = flags.DEFINE_string("coordinator", None, "host:port of process 0, if several.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "Processes of the run.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "This one's number, from 0.")
flags.mark_flag_as_required("checkpoint")


def main() -> None:
    """Prints the table and writes metrics.json and report.html."""
    set_up_process()
    join_hosts(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    evaluation, description = evaluate_checkpoint(
        _CHECKPOINT.value,
        task=_TASK.value,
        which=_WHICH.value,
        data=_DATA.value,
        image_size=parse_size(_IMAGE_SIZE.value),
        batch_size=_BATCH_SIZE.value,
        decode=_DECODE.value,
        num_extremes=EXTREMES,
    )
    if not is_main():
        return
    default = Path(_CHECKPOINT.value) / "evaluation" / _TASK.value
    folder = default if _OUTPUT.value is None else Path(_OUTPUT.value)
    content = to_json(evaluation, description)
    checkpoint = Path(description["checkpoint"])
    report = RunReport(
        metrics=content,
        evaluation=evaluation,
        meta=read_meta(checkpoint),
        history=read_history(checkpoint),
        output=folder,
        processes=count_hosts(),
    )
    metrics, page = write_evaluation(folder, content, format_page(report))
    epoch = f" (epoch {description['epoch']})" if description["epoch"] else ""
    print(
        f"{description['model']}{epoch} on {description['data']}, "
        f"{description['task']}: {evaluation.num_images} images at "
        f"{format_size(description['image_size'])} pixels, decoded by {description['decode']}\n"
        f"{format_levels(evaluation.levels)}\n"
        f"{format_tree(evaluation.tree)}\nWritten to {metrics} and {page}"
    )


if __name__ == "__main__":
    run(main)
