"""The pure parts of the benchmark of accuracy against latency."""

import json

from benchmarks.frontier_points import ROOT, is_trained, read_points, training_minutes
from benchmarks.frontier_table import (
    best_within,
    format_comparison,
    format_points,
    front,
    read_rows,
)


def measured(network, miou, milliseconds, theirs=False, size=(192, 192)):
    scores = {
        "network": {"part": {"miou": miou - 0.1, "boundary_iou": 0.2}},
        "original": {"group": {"miou": 0.9}, "part": {"miou": miou, "boundary_iou": 0.3}},
    }
    seed = {"minutes": 20.0, "float32": scores, "int8": scores}
    return {
        "point": {"network": network, "size": size, "theirs": theirs, "seeds": {"0": seed}},
        "latency": {"1": [milliseconds, milliseconds, 100.0], "2": [milliseconds / 2] * 3},
    }


def rows_of(**points):
    entries = {name: measured(*given) for name, given in points.items()}
    content = {
        "points": {name: entry["point"] for name, entry in entries.items()},
        "latencies": {
            f"{name}.{precision}": entry["latency"]
            for name, entry in entries.items()
            for precision in ("float32", "int8")
        },
    }
    return read_rows(json.loads(json.dumps(content)))


ROWS = rows_of(
    small=("ours", 0.5, 10.0),
    large=("ours", 0.6, 30.0),
    beaten=("ours", 0.5, 20.0, False, (288, 192)),
    unet=("unet", 0.55, 25.0, True),
)
FLOATS = [row for row in ROWS if row.precision == "float32"]


def test_rows_are_of_the_finest_level_and_of_the_median_round():
    assert [(row.name, row.miou, row.milliseconds["1"]) for row in FLOATS[:2]] == [
        ("small", 0.5, 10.0),
        ("large", 0.6, 30.0),
    ]
    assert len(ROWS) == 8


def test_the_front_holds_what_nothing_faster_equals():
    assert [row.name for row in front(FLOATS, "1")] == ["small", "unet", "large"]


def test_the_best_within_a_latency_is_no_slower():
    ours = [row for row in FLOATS if not row.theirs]
    assert best_within(ours, 29.9, "1").name == "small"
    assert best_within(ours, 30.0, "1").name == "large"
    assert best_within(ours, 5.0, "1") is None


def test_tables_have_a_line_for_every_point_and_say_who_is_ahead():
    table = format_points(ROWS).splitlines()
    assert len(table) == 2 + 4
    assert table[2].startswith("| ours | 192 | **0.500** | 0.300 | 0.400 | 10.0 | 5.0 | 0.500 |")
    assert "| ours | 288x192 | 0.500 |" in table[4]
    assert "| unet 192, float32 | 0.550 | 1 | 25.0 | ours 192 | 0.500 | 10.0 | -0.050 |" in (
        format_comparison(ROWS)
    )


def test_the_points_are_trained_by_commands_of_their_own(tmp_path):
    points, seeds = read_points(ROOT / "benchmarks/frontier.yaml")
    assert len({point.name for point in points}) == len(points)
    assert seeds == [0, 1]
    for point in points:
        assert all(side % 32 == 0 for side in point.size)
        command = point.training("data.yaml", tmp_path, 1, "python", "torch_python")
        assert command[0] == ("torch_python" if point.theirs else "python")
        if point.config:
            assert (ROOT / point.config).is_file()
    rectangle = next(point for point in points if point.name == "lite0_288x192")
    command = rectangle.training("data.yaml", tmp_path, 1, "python", "")
    assert "--config.data.image_size=288,192" in command


def test_a_run_is_trained_once_it_has_its_last_epoch(tmp_path):
    assert not is_trained(tmp_path, 2)
    rows = [{"epoch": e, "step": 3 * e, "images_per_second": 0.8} for e in (1, 2)]
    content = {"config": {"batch_size": 16}, "epochs": rows}
    (tmp_path / "history.json").write_text(json.dumps(content))
    assert is_trained(tmp_path, 2)
    assert not is_trained(tmp_path, 3)
    assert training_minutes(tmp_path) == 2.0
