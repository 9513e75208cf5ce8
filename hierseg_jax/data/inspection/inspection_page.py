"""A report as one HTML page that needs nothing else: no script, no file beside it."""

from hierseg_jax.data.inspection.findings import (
    KINDS,
    count_severities,
    group_by_kind,
    sentences,
    several_of_a_file,
)
from hierseg_jax.data.inspection.page_pictures import (
    example_pictures,
    finding_pictures,
    group_colors,
)
from hierseg_jax.data.inspection.report_files import Report
from hierseg_jax.data.inspection.size_plot import size_plot
from hierseg_jax.data.inspection.text import (
    split_line,
    suggestion_reasons,
)
from hierseg_jax.reports.templates import render
from hierseg_jax.tree.colors import IGNORED, css_color


def format_page(report: Report) -> str:
    """The page; every string of the data's is escaped in it."""
    inspection, suggestion = report.inspection, report.suggestion
    groups = group_by_kind(inspection.findings)
    return render(
        "data/inspection/inspection_page.html",
        spec=inspection.spec,
        kinds=KINDS,
        counts=count_severities(inspection.findings),
        groups=groups,
        sentences={kind: sentences(found, report.limit) for kind, found in groups.items()},
        files={
            file: [KINDS[kind].title for kind in kinds]
            for file, kinds in several_of_a_file(inspection.findings).items()
        },
        limit=report.limit,
        pairs={kind: finding_pictures(inspection, kind, found) for kind, found in groups.items()},
        statistics={s: of["levels"] for s, of in report.statistics.items() if of["usable"]},
        unknown={s: of["unknown_pixels"] for s, of in report.statistics.items()},
        groups_shown=group_colors(inspection),
        ignored=css_color(IGNORED)
        if any(of.get("ignored_pixels") for of in report.statistics.values())
        else "",
        split_lines={split: split_line(report, split) for split in inspection.spec.splits},
        size_plot=size_plot({s: [e.size for e in inspection.usable(s)] for s in report.statistics}),
        examples=example_pictures(inspection),
        command=report.command,
        nothing_suggested=report.nothing_suggested,
        reasons=suggestion_reasons(suggestion, report.alone) if suggestion else (),
    )
