"""A report as one HTML page that needs nothing else: no script, no file beside it."""

import html

from hierseg_jax.data.inspection.findings import (
    KINDS,
    count_severities,
    group_by_file,
    group_by_kind,
)
from hierseg_jax.data.inspection.page_figures import example_figures, finding_figures
from hierseg_jax.data.inspection.result import Report, train_command
from hierseg_jax.data.inspection.size_plot import bar, size_plot
from hierseg_jax.data.inspection.text import (
    WEIGHTS_REASON,
    format_weights,
    split_line,
    suggestion_reasons,
)
from hierseg_jax.reports.document import badge_head, breakable, escaped, format_document
from hierseg_jax.reports.inline_pictures import class_name, css_colors


def format_page(report: Report) -> str:
    """The page; every string of the data's is escaped in it."""
    title = f"Data report: {report.inspection.spec.file.name}"
    sections = {
        "findings": ("Findings", _findings(report)),
        "classes": ("Classes", _classes(report)),
        "sizes": ("Splits and sizes", _sizes(report)),
        "examples": ("Examples", example_figures(report.inspection)),
        "suggested": ("Suggested settings", _suggestion(report)),
        "files": ("By file", _by_file(report)),
    }
    return format_document(title, _head(report), sections, skip="Skip to the findings")


def _head(report: Report) -> str:
    counts = count_severities(report.inspection.findings)
    badges = {f"{n:,} {name}{'' if n == 1 else 's'}": name for name, n in counts.items() if n} or {
        "Nothing wrong found": "good"
    }
    return badge_head(str(report.inspection.spec.file), badges)


def _findings(report: Report) -> str:
    cards = []
    for kind, findings in group_by_kind(report.inspection.findings).items():
        of = KINDS[kind]
        items = "".join(f"<li>{escaped(f.message)}</li>" for f in findings[: report.limit])
        more = len(findings) - report.limit
        cards.append(
            f'<article class="card"><div class="head"><span class="badge {of.severity}">'
            f"{of.severity}</span><h3>{html.escape(of.title)} ({len(findings):,})</h3></div>"
            f"<p>{html.escape(of.advice)}</p>"
            f"<details{' open' if len(findings) <= 5 else ''}><summary>"
            f"{'The first ' if more > 0 else ''}{min(len(findings), report.limit):,} listed"
            "</summary>"
            f'<ul class="items">{items}</ul>'
            + (f'<p class="soft">and {more:,} more</p>' if more > 0 else "")
            + f"</details>{finding_figures(report.inspection, kind, findings)}</article>"
        )
    return "\n".join(cards) or '<p class="card">Every check was passed.</p>'


def _classes(report: Report) -> str:
    """For every level a table for every split that has examples."""
    splits = [split for split, of in report.statistics.items() if of["usable"]]
    parts = []
    for level in report.inspection.spec.hierarchy.levels if splits else ():
        colors = css_colors(level.num_classes)
        tables = []
        for split in splits:
            rows = []
            of = report.statistics[split]["levels"][level.name]
            for color, name in zip(colors, level.class_names, strict=True):
                c = of[name]
                rows.append(
                    f'<tr><th scope="row">{class_name(color, name)}</th>'
                    + "".join(
                        f'<td>{c[what]:,} <span class="share">{c[share]:.{digits}%}</span>'
                        f"{bar(c[share], split)}</td>"
                        for what, share, digits in (
                            ("pixels", "pixel_share", 2),
                            ("images", "image_share", 0),
                        )
                    )
                    + "</tr>"
                )
            tables.append(
                f'<div class="card"><table class="classes"><caption>{escaped(level.name)}, '
                f'{split}</caption><thead><tr><th scope="col">class</th>'
                '<th scope="col">pixels</th><th scope="col">images</th></tr></thead>'
                f"<tbody>{''.join(rows)}</tbody></table></div>"
            )
        parts.append(f'<div class="columns">{"".join(tables)}</div>')
    return "\n".join(parts)


def _sizes(report: Report) -> str:
    inspection = report.inspection
    rows = "".join(
        f'<tr><th scope="row"><svg class="key" viewBox="0 0 1 1" aria-hidden="true">'
        f'<rect class="{split}" width="1" height="1"/></svg>{split}</th>'
        f"<td>{escaped(split_line(report, split))}</td></tr>"
        for split in inspection.spec.splits
    )
    table = (
        '<table class="splits"><thead><tr><th scope="col">split</th>'
        '<th scope="col">what can be used</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    sizes = {s: [e.size for e in inspection.usable(s)] for s in inspection.spec.splits}
    plot = size_plot(sizes) if any(sizes.values()) else ""
    cards = [f'<div class="card">{part}</div>' for part in (table, plot) if part]
    return f'<div class="columns">{"".join(cards)}</div>'


def _suggestion(report: Report) -> str:
    if report.suggestion is None:
        return '<p class="card">No example can be used, so there is nothing to go by.</p>'
    size, batch = suggestion_reasons(report)
    lines = " \\\n  ".join(map(escaped, train_command(report)))
    weights = "".join(
        f'<tr><th scope="row">{escaped(name)}</th><td>{weight:.3g}</td></tr>'
        for name, weight in report.suggestion.class_weights.items()
    )
    return (
        f'<div class="card"><pre>{lines}</pre>'
        f'<ul class="items"><li>{escaped(size)}</li><li>{escaped(batch)}</li></ul></div>'
        f'<div class="card"><p>{escaped(WEIGHTS_REASON)}</p>'
        f"<pre>{escaped(format_weights(report))}</pre>"
        '<details><summary>By class</summary><table><thead><tr><th scope="col">class</th>'
        f'<th scope="col">weight</th></tr></thead><tbody>{weights}</tbody></table></details></div>'
    )


def _by_file(report: Report) -> str:
    files = group_by_file(report.inspection.findings)
    rows = []
    for file in list(files)[: report.limit]:
        kinds = dict.fromkeys(KINDS[finding.kind].title for finding in files[file])
        items = "<br>".join(html.escape(title) for title in kinds)
        rows.append(f'<tr><th scope="row" class="file">{breakable(file)}</th><td>{items}</td></tr>')
    if not rows:
        return ""
    more = len(files) - report.limit
    return (
        '<div class="card"><table class="files"><thead><tr><th scope="col">file</th>'
        f'<th scope="col">found</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        + (f'<p class="soft">and {more:,} more</p>' if more > 0 else "")
        + "</div>"
    )
