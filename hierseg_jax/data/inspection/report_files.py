"""What an inspection ends in: a text, a page, and JSON."""

import dataclasses
import pathlib
import shlex
from collections.abc import Sequence
from typing import Any

from hierseg_jax.data.inspection.epochs import RECIPE_EPOCHS, START_RATE
from hierseg_jax.data.inspection.findings import KINDS, count_severities, group_by_kind
from hierseg_jax.data.inspection.inspect_dataset import Inspection
from hierseg_jax.data.inspection.split_statistics import split_statistics
from hierseg_jax.data.inspection.suggest import PeakGb, Start, Suggestion, suggest
from hierseg_jax.system.atomic_writing import write_atomically, write_json
from hierseg_jax.system.errors import HiersegError


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """All that the reports tell.

    Attributes:
      inspection: of the data.
      statistics: by split, from `split_statistics`.
      suggestion: None where there is nothing to train on.
      limit: findings of a kind, and files, that text and page list at most.
      data: what is to be trained on, as `data.spec` has it.
      run_name: for `--name` of the training that is proposed.
    """

    inspection: Inspection
    statistics: dict[str, dict[str, Any]]
    suggestion: Suggestion | None
    limit: int
    data: str
    run_name: str = "mine"

    @property
    def alone(self) -> bool:
        """Whether nothing else is to be trained on, so that its class weights are those."""
        return self.data == str(self.inspection.spec.file)

    @property
    def nothing_suggested(self) -> str:
        """Why there is no suggestion, where there is none."""
        if usable := [split for split, of in self.statistics.items() if of["usable"]]:
            task = "" if "val" in usable else f" --task={usable[0]}"
            return (
                "There is nothing to train on. To measure a run, or an .onnx file, on these "
                f"pictures: `hierseg evaluate RUN {shlex.quote(f'--data={self.data}')}{task}`."
            )
        return "No example can be used, so there is nothing to suggest settings by."

    @property
    def command(self) -> list[str]:
        """The suggestion as a shell's command, in pieces that can stand on own lines."""
        suggestion = self.suggestion
        if suggestion is None:
            return []
        start = suggestion.start
        return [
            "hierseg train",
            shlex.quote(f"--data={self.data}"),
            f"--image_size={suggestion.image_size}",
            f"--batch_size={suggestion.batch_size}",
            *([] if suggestion.epochs == RECIPE_EPOCHS else [f"--epochs={suggestion.epochs}"]),
            *(start_flags(start) if start else []),
            f"--name={self.run_name}",
        ]


def start_flags(start: Start) -> list[str]:
    """To begin with a trained network, seeing pictures as it did, at a rate that leaves it that."""
    return [
        f"--config.data.resize={start.resize}",
        f"--config.model.pretrained={start.name}",
        f"--config.learning_rate={START_RATE:g}",
    ]


def make_report(
    inspection: Inspection,
    peak_gb: PeakGb,
    *,
    limit: int,
    memory_gb: float | None = None,
    data: str = "",
    together: Sequence[Inspection] = (),
    start: Start | None = None,
    run_name: str = "mine",
) -> Report:
    """Puts together what is to be told.

    Args:
      inspection, peak_gb, memory_gb, start: as in `suggest`.
      limit, run_name: as `Report` has them.
      data: as `Report` has it, of several data sets; by default the inspected one.
      together: of all of these, by which settings are suggested.

    Raises:
      ValueError: a limit below 1, or a memory that is not above 0.
    """
    if limit < 1:
        raise HiersegError(f"--limit is {limit}; it must be at least 1.")
    suggestion = suggest(together or (inspection,), peak_gb, memory_gb, start)
    data = data or str(inspection.spec.file)
    return Report(inspection, split_statistics(inspection), suggestion, limit, data, run_name)


def report_files(folder: pathlib.Path, with_json: bool) -> dict[str, pathlib.Path]:
    """The files to be written, by suffix: txt, html and, on demand, json."""
    suffixes = ("txt", "html", "json") if with_json else ("txt", "html")
    return {suffix: folder / f"report.{suffix}" for suffix in suffixes}


def write_report(report: Report, text: str, page: str, files: dict[str, pathlib.Path]) -> None:
    """Writes the files, each whole or not at all, into a folder that exists.

    Raises:
      OSError: naming the file.
    """
    write_atomically(files["txt"], f"{text}\n".encode())
    write_atomically(files["html"], page.encode())
    if "json" in files:
        write_json(files["json"], to_json(report))


def to_json(report: Report) -> dict[str, Any]:
    """Everything, without limits; plain JSON."""
    inspection = report.inspection
    return {
        "data": str(inspection.spec.file),
        "root": str(inspection.spec.root),
        "counts": count_severities(inspection.findings),
        "findings": {
            kind: {
                "severity": KINDS[kind].severity,
                "title": KINDS[kind].title,
                "items": [
                    {name: text for name, text in dataclasses.asdict(f).items() if name != "kind"}
                    for f in findings
                ],
            }
            for kind, findings in group_by_kind(inspection.findings).items()
        },
        "statistics": report.statistics,
        "suggestion": report.suggestion and dataclasses.asdict(report.suggestion),
    }
