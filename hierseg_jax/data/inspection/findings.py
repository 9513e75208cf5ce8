"""What can be found in a data set: the kinds, how grave they are, and what to do about them."""

import dataclasses
import pathlib
from collections.abc import Iterable

from hierseg_jax.data.read.layout import IMAGE_SUFFIXES, MASK_SUFFIXES
from hierseg_jax.system.wording import counted, listed, printable

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
      severity: `error`: training or evaluating refuses or fails; `warning`: most likely a
        mistake; `note`: worth a look.
      title: a heading.
      advice: what it means and what to do.
    """

    severity: str
    title: str
    advice: str


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
      kind: a key of `KINDS`.
      split: train, val or test; empty for the whole data set.
      file: relative to the root of the data; empty where no one file is meant.
      message: a sentence; files in it are relative to the root too.
      other: a second file, the one that `file` resembles.
    """

    kind: str
    split: str
    file: str
    message: str
    other: str = ""


_UNREADABLE = "Replace it or take the pair away; --config.data.on_error=skip trains without it."

KINDS = {
    "untrained_class": Kind(
        ERROR,
        "Classes without a pixel in train",
        "Nothing is learnt of them, hence training refuses; "
        "--config.data.allow_missing_classes=True trains without.",
    ),
    "missing_folder": Kind(
        ERROR,
        "Missing folders",
        "Mend the path in data.yaml; masks lie in a folder masks beside that of the images, or "
        "where `{images: FOLDER, masks: FOLDER}` says.",
    ),
    "empty_split": Kind(ERROR, "Splits without images", "Put images there, or drop the split."),
    "missing_mask": Kind(
        ERROR, "Images without a mask", "Add the mask under the image's stem, or take it away."
    ),
    "missing_image": Kind(
        ERROR, "Masks without an image", "Add the image under the mask's stem, or take it away."
    ),
    "shared_stem": Kind(
        ERROR, "Several files of one stem", "Pairs are made by stem: only one of them may stay."
    ),
    "unreadable_image": Kind(ERROR, "Images that cannot be read", _UNREADABLE),
    "unreadable_mask": Kind(ERROR, "Masks that cannot be read", _UNREADABLE),
    "size_mismatch": Kind(
        ERROR,
        "Masks of another size than their image",
        "Make the mask anew for the image as it is shown, or scale it by the nearest neighbour.",
    ),
    "unknown_labels": Kind(
        ERROR,
        "Labels out of the class list",
        "Add the class to data.yaml, or mend the mask; 255 and -1 mark pixels to be ignored. Odd "
        "values along borders come from scaling a mask with interpolation or saving it as JPEG.",
    ),
    "odd_background": Kind(
        WARNING,
        "A first class that does not look like a background",
        "No mean counts the background, and no picture shows it.",
    ),
    "unpaired_sides": Kind(
        WARNING,
        "Left and right that are no pair",
        "Training mirrors pictures, and in a mirror each looks like the other: both are mixed up.",
    ),
    "shifted_labels": Kind(
        WARNING,
        "Values that look numbered otherwise than the classes",
        "Classes would be learnt under the names of others, or not at all, and none of it would "
        "show.",
    ),
    "differing_palettes": Kind(
        WARNING,
        "Palettes that differ from mask to mask",
        "A number means one class in all masks, whatever its colour. Image editors and optimizers "
        "number the colours of every file anew.",
    ),
    "mostly_ignored": Kind(
        WARNING,
        "Splits of which most pixels are ignored",
        "Nothing is learnt from them and nothing measured; a network may predict anything there.",
    ),
    "blurred_mask": Kind(
        WARNING,
        "Masks that look compressed as JPEG, or interpolated",
        "Values in between are those of other classes. Make the masks anew from the annotations: "
        "PNG all the way, without smooth edges, and scaled by the nearest neighbour. A class that "
        "is a rim around another one looks the same, and is none.",
    ),
    "absent_split": Kind(
        ERROR,
        "Splits that data.yaml does not give",
        "Training needs both train and val, here or in another data set beside this one "
        "(docs/more_data.md).",
    ),
    "nothing_to_train": Kind(
        NOTE,
        "No pictures to train on",
        "Right for data that networks are measured on, by `hierseg evaluate`.",
    ),
    "shared_folder": Kind(
        WARNING,
        "Splits that share a folder",
        "What is measured there has been seen in training; give every split images of its own.",
    ),
    "duplicate_across_splits": Kind(
        WARNING,
        "The same image in two splits",
        "What is measured on it has been seen in training; keep it in one split only.",
    ),
    "near_duplicate_across_splits": Kind(
        WARNING,
        "Nearly the same image in two splits",
        "Scaled, recompressed or a neighbouring frame, by its perceptual hash. Look at the pairs: "
        "different pictures of like composition can be among them. Of two that show the same take "
        "one and its mask away. Frames of one video belong in "
        "one split: `hierseg prepare --val_names='clip3_*'` chooses those of validation by name.",
    ),
    "one_scene": Kind(
        NOTE,
        "Pictures of one scene in two splits",
        "Their hashes can't tell them apart, as of a camera that stands still. Frames of one video "
        "belong in one split: `hierseg prepare --val_names='clip3_*'`.",
    ),
    "missing_class": Kind(
        WARNING,
        "Classes that a split lacks",
        "Without it in train nothing is learnt, without it in val nothing is measured.",
    ),
    "untold_class": Kind(
        WARNING,
        "Classes that masks have in groups alone",
        "Nothing is learnt of what tells them apart, or nothing measured. Add pictures that are "
        "labelled as finely, or have a network that knows these classes fill them in: `hierseg "
        "complete` (docs/more_data.md).",
    ),
    "single_class": Kind(
        WARNING,
        "Masks of a single class",
        "Right for a picture of nothing but that (those of the background alone need no masks, see "
        "data.negatives); otherwise an annotation that was lost.",
    ),
    "background_alone": Kind(
        NOTE,
        "Masks of the background alone",
        "As many are usual for data of defects, and of cameras that mostly see nothing; where each "
        "picture should show something, annotations were lost. Evaluation tells false alarms.",
    ),
    "speckle": Kind(
        WARNING,
        "Speckled masks",
        "Many tiny islands: a mask stored as JPEG, scaled with interpolation, or the raw output "
        "of a network or a threshold; those of the background may be gaps between polygons that "
        "were drawn side by side, which do little harm.",
    ),
    "passed_over": Kind(
        WARNING,
        "Files that are passed over",
        f"Images are {', '.join(IMAGE_SUFFIXES)}, and masks {', '.join(MASK_SUFFIXES)}, right in "
        "their folder; `{images: FOLDER/**/*, masks: FOLDER/**/*}` reads those in folders below.",
    ),
    "counted_rest": Kind(
        NOTE,
        "A first class that may be none",
        "It is scored and painted as the others are.",
    ),
    "unread": Kind(
        NOTE,
        "Pictures of which not all is read",
        "Store pictures as 8-bit RGB to decide yourself what the network sees.",
    ),
    "duplicate_within_split": Kind(
        NOTE,
        "The same image twice in a split",
        "It counts twice; keep one, above all where the masks differ.",
    ),
    "elongated": Kind(
        NOTE,
        "Images whose sides differ a lot",
        "Images are stretched to the network's size, which distorts these most: with "
        "data.resize=letterbox they keep their shape. Or crop them or cut them up.",
    ),
    "one_long_shape": Kind(
        NOTE,
        "Images of one long shape",
        "A square network takes them, and stretches them all alike; one of their shape may be "
        "better, and is worth a try.",
    ),
    "unusual_size": Kind(
        NOTE,
        "Images much smaller or larger than the others",
        "Objects in them are far smaller or larger than the network mostly sees.",
    ),
}


def count_severities(findings: Iterable[Finding]) -> dict[str, int]:
    """Number of findings by severity, gravest first."""
    counts = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[KINDS[finding.kind].severity] += 1
    return counts


def group_by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by kind, in the order of `KINDS`; kinds without any are left out."""
    groups: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
    for finding in findings:
        groups[finding.kind].append(finding)
    return {kind: group for kind, group in groups.items() if group}


def sentences(findings: Iterable[Finding], most: int) -> list[str]:
    """Of findings of a kind; those that differ only by the file they begin with are one.

    Args:
      findings: of one kind.
      most: files that are named of those.
    """
    alike: dict[str, list[Finding]] = {}
    for finding in findings:
        alike.setdefault(finding.message.removeprefix(finding.file), []).append(finding)
    lines = []
    for first, *others in alike.values():
        if others:
            names = listed([each.file for each in others], most)
            more = counted(len(others), "more file")
            lines.append(f"{first.message} The same of {more}: {names}.")
        else:
            lines.append(first.message)
    return lines


def several_of_a_file(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """Kinds of findings by file, of files with more than one kind, those with most first."""
    kinds: dict[str, dict[str, None]] = {}
    for finding in findings:
        if finding.file:
            kinds.setdefault(finding.file, {})[finding.kind] = None
    several = [(file, list(of)) for file, of in kinds.items() if len(of) > 1]
    return dict(sorted(several, key=lambda item: (-len(item[1]), item[0])))


def shown(file: pathlib.Path, root: pathlib.Path | None) -> str:
    """A file's name for people: relative to the root, whole without one; printable."""
    return printable(str(file if root is None else file.relative_to(root)))
