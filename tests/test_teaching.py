"""Runs that a teacher teaches: its scores are kept, or it sees every batch."""

import contextlib
import dataclasses
import functools
import shutil

import cv2
import jax
import numpy as np
import pytest

from hierseg_jax.checkpoint import find_checkpoint, load_checkpoint, read_meta
from hierseg_jax.checkpoint.contents import completed_meta
from hierseg_jax.data.figures.render import FiguresSource
from hierseg_jax.data.read.inventory import Inventory
from hierseg_jax.data.read.picture_folder import PictureFolder
from hierseg_jax.data.taught import scored
from hierseg_jax.evaluation.eval_step import scale_image
from hierseg_jax.system.stop import StopSignals
from hierseg_jax.train.kept_scores import place_of_scores
from hierseg_jax.train.loop import train
from hierseg_jax.train.progress import Progress
from hierseg_jax.train.run import describe
from hierseg_jax.train.same_run import check_same_run
from hierseg_jax.train.saving import open_writer, save
from hierseg_jax.train.set_up import set_up
from hierseg_jax.train.teacher import _with_pairs, fit_teacher
from hierseg_jax.tree.hierarchy import Hierarchy
from tests.runs import assert_bit_identical, small_settings

LITTLE = {"augment": "modern", "epochs": 1, "data__figures_train": 17, "data__figures_val": 2}
LITTLE |= {"teacher_options__temperature": 2.0}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A run whose only epoch has trained nothing: a teacher need not be a good one."""
    run = set_up(small_settings(**LITTLE), tmp_path_factory.mktemp("teacher") / "run")
    numbers = {name: {"miou": 0.25, "pixel_accuracy": 0.5} for name in run.hierarchy.level_names}
    row = {"epoch": 1, "step": 2, "val_loss": 1.0, "levels": numbers}
    with open_writer(run, lambda: None) as writer:
        state = run.parallel.put_state(run.initial_state())
        save(run, writer, state, Progress(step=2, rows=(row,)))
    return run.workdir


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Scores have a cache of their own; the kernels' stays."""
    monkeypatch.setattr("hierseg_jax.train.kept_scores.cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def settings_of(run, **changes):
    named = run if isinstance(run, tuple) else str(run)
    return small_settings(**LITTLE | {"teacher": named} | changes)


class InterruptedRunError(Exception):
    pass


@pytest.mark.slow
def test_a_taught_run_resumes_bit_identically_and_finds_the_scores_again(
    teacher, tmp_path, cache, capsys
):
    settings = settings_of(teacher, epochs=2)

    def interrupt(progress):
        if progress.epoch == 1:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        train(settings, str(tmp_path / "cut"), interrupt)
    said = capsys.readouterr().out
    assert "taught by esnet_mini of" in said
    assert "(validation of part: miou 0.2500, pixel_accuracy 0.5000), at 32 pixels\n" in said
    assert "looks at 17 pictures" in said
    train(settings, str(tmp_path / "cut"))
    assert "are kept in" in capsys.readouterr().out
    train(settings, str(tmp_path / "whole"))
    assert_bit_identical(tmp_path / "cut", tmp_path / "whole")
    kept = [path for path in (cache / "teacher_scores").iterdir() if path.name[0] != "."]
    assert len(kept) == 1
    assert np.load(kept[0] / "scores.npy").shape == (17, 16, 16, 7)
    meta = read_meta(find_checkpoint(tmp_path / "cut"))
    assert len(meta["teachers"]) == 1
    for wrong in (1, [2], [{"path": "run"}]):
        with pytest.raises(ValueError, match="teachers"):
            completed_meta(meta | {"teachers": wrong})

    with pytest.raises(ValueError, match=r"config's teacher: .* does not exist"):
        set_up(settings_of(tmp_path / "gone", epochs=2), tmp_path / "cut")
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "cut", other)
    settings = settings_of(other, epochs=2)
    with pytest.raises(ValueError, match=r"is taught by .* holds other weights"):
        train(settings, str(tmp_path / "cut"))


def test_each_step_the_teacher_sees_the_students_batches(teacher, tmp_path):
    given = {"teacher_options__scores": "each_step", "augment": "reference"}
    run = set_up(settings_of(teacher, **given), tmp_path / "run")
    batch = next(run.train_batches())
    assert set(batch) == {"image", "label", "valid", "taught"}
    own = load_checkpoint(find_checkpoint(teacher)).variables
    (of_run,) = run.lessons.teachers
    logits = jax.jit(of_run.forward)(own, scale_image(batch["image"]))
    # A student that says the same has nothing to learn.
    assert abs(run.lessons.loss(logits, batch, (own,))) < 1e-6
    assert run.lessons.loss(logits + logits[..., ::-1], batch, (own,)) > 1e-4
    # What poor cameras have spoiled, it sees as it was.
    spoiled = batch | {"image": 255 - batch["image"][::-1]}
    of_clear, of_spoiled, of_both = (
        run.lessons.loss(2 * logits, each, (own,))
        for each in (batch, spoiled, spoiled | {"clear": batch["image"]})
    )
    assert of_both == of_clear != of_spoiled
    state = run.parallel.put_state(run.initial_state())
    batches = run.train_batches()
    _, metrics = run.train_step(state, run.parallel.put_batch(next(batches)))
    assert np.isfinite(metrics["loss"])
    batches.close()


def test_kept_scores_are_those_of_the_network_however_they_were_interrupted(
    teacher, tmp_path, cache
):
    settings = settings_of(teacher, augment="none", data__figures_train=24)
    run = set_up(settings, tmp_path / "run")
    stop = StopSignals()
    stop.received = 15
    with pytest.raises(SystemExit):
        run.lessons.prepare(run.drawn_source, run.parallel, 0, stop)
    (kept,) = run.lessons.reading.kept
    partial = kept.folder.with_name(f".{kept.folder.name}.partial")
    assert (np.load(partial / "pictures.npy") == -1).sum() == 8
    run.lessons.prepare(run.drawn_source, run.parallel, 0, StopSignals())
    assert not partial.exists()
    batches = run.train_batches()
    batch = next(batches)
    batches.close()
    own = load_checkpoint(find_checkpoint(teacher)).variables
    logits = jax.jit(run.lessons.teachers[0].forward)(own, scale_image(batch["image"]))
    assert batch["taught"].all()
    assert batch["teacher"].dtype == np.float16
    assert abs(run.lessons.loss(logits, batch)) < 1e-5


def test_scores_are_kept_apart_for_all_that_changes_them(teacher):
    loaded = load_checkpoint(find_checkpoint(teacher))

    def folder(count=17, seed=0, tree=loaded.hierarchy, loaded=loaded, **changes):
        source = FiguresSource("train", 32, count, seed)
        fitted = fit_teacher(loaded, settings_of(teacher, **changes), tree)
        inventory = Inventory.of(len(source), source.inventory())
        return place_of_scores(fitted, tree, False, inventory).folder

    other = dataclasses.replace(loaded, meta=loaded.meta | {"sha256": {"variables": "0"}})
    paired = dataclasses.replace(loaded.hierarchy, pairs=((1, 2),))
    found = [
        folder(),
        folder(teacher_options__flip=True),
        folder(teacher_options__flip=True, tree=paired),
        folder(teacher_options__scales=(0.5, 1.0)),
        folder(teacher_options__image_size=48),
        folder(count=18),
        folder(seed=1),
        folder(tree=renamed(loaded.hierarchy, [0, 6, 1, 5, 2, 4, 3])),
        folder(loaded=other),
    ]
    assert len(set(found)) == len(found)
    assert folder(teacher_options__temperature=1.0, learning_rate=0.1) == folder()


def test_a_picture_that_the_teacher_has_not_seen_is_noticed(teacher, tmp_path):
    settings = settings_of(teacher)
    run = set_up(settings, tmp_path / "run")
    run.lessons.prepare(run.drawn_source, run.parallel, 0, StopSignals())
    others = scored(FiguresSource("train", 32, 17, seed=5), run.lessons.reading.kept)
    with pytest.raises(ValueError, match="Training picture 4 is not the one that the teacher"):
        others[3]


def test_an_example_in_the_place_of_an_unreadable_one_brings_its_own_scores(
    teacher, tmp_path, capsys
):
    files = [tmp_path / "more" / f"{index}.png" for index in range(3)]
    files[0].parent.mkdir()
    for index, file in enumerate(files):
        cv2.imwrite(str(file), FiguresSource("train", 32, 3, seed=4)[index]["image"])
    whole = files[2].read_bytes()
    files[2].write_bytes(whole[:60])  # while the teacher looks
    settings = settings_of(teacher, data__unlabelled=str(tmp_path / "more"), data__on_error="skip")
    run = set_up(settings, tmp_path / "run")
    run.lessons.prepare(run.drawn_source, run.parallel, 0, StopSignals())
    assert "2.png" in capsys.readouterr().err
    source = scored(run.drawn_source, run.lessons.reading.kept)
    files[2].write_bytes(whole)
    files[0].write_bytes(whole[:60])  # later
    first = len(FiguresSource("train", 32, 17))
    found = [source[first + index] for index in range(3)]
    assert "0.png" in capsys.readouterr().err
    for key in ("image", "scores"):
        for index in (0, 2):
            np.testing.assert_array_equal(found[index][key], found[1][key])


def test_pictures_without_masks_train_on_the_teacher_alone(teacher, tmp_path, capsys):
    for index in range(8):
        image = FiguresSource("train", 40, 8, seed=9)[index]["image"][: 30 + index]
        file = tmp_path / "more" / f"deep{index % 2}" / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), image[..., ::-1])
    source = PictureFolder(tmp_path / "more", 255, "unlabelled")
    assert len(source) == 8
    assert source.names[:2] == ("deep0/0.png", "deep0/2.png")
    assert source[1]["image"].shape == (32, 40, 3)
    assert (source.label(1) == 255).all()
    settings = settings_of(teacher, data__unlabelled=str(tmp_path / "more"), data__on_error="skip")
    run = set_up(settings, tmp_path / "run")
    assert run.steps_per_epoch == 25 // 8
    assert (
        f"17 of the 17 of figures, 8 of the 8 of data.unlabelled, {tmp_path / 'more'}"
        in describe(run)
    )
    run.lessons.prepare(run.drawn_source, run.parallel, 0, StopSignals())
    assert "looks at 25 pictures" in capsys.readouterr().out
    with contextlib.closing(run.train_batches()) as batches:
        batch = next(batches)
    without = (batch["label"] == 255).all((1, 2))
    assert 0 < without.sum() < 8
    assert batch["taught"][without].any((1, 2)).all()
    state = run.parallel.put_state(run.initial_state())
    _, metrics = run.train_step(state, run.parallel.put_batch(batch))
    assert np.isfinite(metrics["loss"])
    with pytest.raises(ValueError, match="nothing tells a run what its pictures show but a teach"):
        small_settings(**LITTLE, data__unlabelled=str(tmp_path / "more"))
    with pytest.raises(ValueError, match=r"hold no images"):
        PictureFolder(teacher / "checkpoints", 255, "unlabelled")
    with pytest.raises(FileNotFoundError, match="nothing does not exist; give a folder"):
        PictureFolder(tmp_path / "nothing", 255, "unlabelled")


def renamed(tree, order):
    """The same classes in another order."""
    places = {old: new for new, old in enumerate(order)}
    group = [
        {of.name: [{g.name: [places[c] for c in g.children]} for g in of.children]}
        for of in tree.children
    ]
    names = [tree.class_names[old] for old in order]
    return type(tree).from_json(
        {"tree": group, "class_names": names, "level_names": list(tree.level_names)}
    )


def test_classes_meet_by_name(teacher):
    loaded = load_checkpoint(find_checkpoint(teacher))
    tree = loaded.hierarchy
    order = [0, 6, 1, 5, 2, 4, 3]
    ours = renamed(tree, order)
    fit = functools.partial(fit_teacher, hierarchy=ours)
    settings = settings_of(teacher)
    plain, other = fit_teacher(loaded, settings, tree), fit(loaded, settings)
    image = np.random.default_rng(0).random((8, 32, 32, 3), np.float32)
    found = jax.jit(other.forward)(loaded.variables, image)
    expected = jax.jit(plain.forward)(loaded.variables, image)[..., np.array(order)]
    np.testing.assert_array_equal(found, expected)

    foreign = dataclasses.replace(tree, class_names=("background", *"abcdef"))
    with pytest.raises(
        ValueError, match=r"knows the classes a background, low_hand, .* figures has"
    ):
        fit_teacher(loaded, settings, foreign)
    with pytest.raises(ValueError, match="has a flat head, this run a hierarchical one"):
        fit(loaded, settings_of(teacher, model__hierarchical=True))
    fit(loaded, settings_of(teacher, model__sibling_softmax=True))


def test_several_teachers_and_what_a_resumed_run_may_change(teacher):
    both = settings_of((str(teacher), str(teacher)))
    assert len(both.teachers) == 2
    check_same_run(settings_of(teacher), settings_of("elsewhere"), "run")
    for stored, now in ((settings_of(teacher), settings_of("")), (settings_of(teacher), both)):
        with pytest.raises(ValueError, match="teacher was "):
            check_same_run(stored, now, "run")
    with pytest.raises(ValueError, match=r"teacher_options\.weight was 1\.0, now 2\.0"):
        check_same_run(settings_of(teacher), settings_of(teacher, teacher_options__weight=2.0), "r")


def test_lessons_that_can_not_be_given_are_refused():
    for changes, said in (
        ({"augment": "reference"}, "turns and bends pictures"),
        ({"teacher_options__scales": ()}, "one factor or more"),
        ({"teacher_options__image_size": (0, 32)}, "must be 0, one side"),
        ({"teacher": ("a", "")}, "workdir or checkpoint folder"),
        (
            {
                "augment": "reference",
                "data__resize": "letterbox",
                "teacher_options__scores": "each_step",
            },
            "moves the bars",
        ),
    ):
        with pytest.raises(ValueError, match=said):
            settings_of("run", **changes)


def test_a_flipped_teacher_exchanges_the_pairs_that_the_data_name():
    def tree(names, pairs):
        return Hierarchy.from_mapping([1, 2, 3], names, pairs=pairs)

    ours = tree(["background", "left", "right", "head"], [["left", "right"]])
    theirs = ["background", "head", "right", "left"]
    assert _with_pairs(tree(theirs, None), ours).pairs in (((3, 2),), ((2, 3),))
    assert set(_with_pairs(tree(theirs, [["head", "right"]]), ours).pairs[0]) == {2, 3}
    nothing = tree(["background", "left", "right", "head"], None)
    assert _with_pairs(tree(theirs, [["head", "right"]]), nothing).pairs == ((1, 2),)
