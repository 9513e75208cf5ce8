"""What a search reports: its page, its text and the command that trains the best."""

import dataclasses
import html.parser
import shlex
from pathlib import Path

from hierseg_jax.train.tune.objective import Metric
from hierseg_jax.train.tune.outcome import Outcome
from hierseg_jax.train.tune.search_page import Report, format_page, format_text, train_command
from hierseg_jax.train.tune.search_plots import history_plot, parallel_plot, slice_plot
from hierseg_jax.train.tune.space import Choice, Range


def make_report():
    space = {
        "learning_rate": Range("log_uniform", 1e-4, 1e-2),
        "epochs": Range("int", 2, 9),
        "loss": Choice(("dice", "iou + <b>")),
    }
    values = {"learning_rate": 0.1 + 0.2, "epochs": 3, "loss": "iou + <b>"}
    outcomes = [
        Outcome(0, "complete", values | {"loss": "dice"}, 0.5, 3, 3661.0),
        Outcome(1, "complete", values | {"learning_rate": 1 / 3000}, 0.25, 3, 59.6),
        Outcome(2, "pruned", values, 1e9, 1, 2.0),
        Outcome(3, "diverged", values, None, 0, 2.0, note="The <loss> is nan."),
        Outcome(4, "running", {}),
    ]
    overrides = {"data.figures_train": 33, "model.name": "esnet it's"}
    metric = Metric("val_loss")
    return Report(Path("runs/<tuning>"), "configs/figures.py", overrides, space, metric, outcomes)


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def test_the_page_has_every_trial_and_its_plots_and_runs_nothing():
    page = Page(format_page(make_report()))
    assert page.count("script") == page.count("link") == page.count("img") == page.count("b") == 0
    assert page.count("tr") == 1 + 5
    plots = [attributes for tag, attributes in page.tags if attributes.get("class") == "plot"]
    assert len(plots) == 1 + 3 + 1  # history, every key, all together
    # Trials with a result: in the history and in every key's plot.
    assert page.count("circle") == 3 * 4
    for tag, attributes in page.tags:
        if tag == "circle":
            assert 0 <= float(attributes["cx"]) <= 420
            assert 0 <= float(attributes["cy"]) <= 300
    assert "iou + <b>" in page.text
    assert "The <loss> is nan." in page.text
    assert "best: trial 1, val_loss 0.25" in page.text


def test_an_empty_study_is_reported():
    report = dataclasses.replace(make_report(), outcomes=[])
    assert "No trial is complete yet." in format_text(report)
    assert "No trial is complete yet." in Page(format_page(report)).text
    space, metric = report.space, report.metric
    assert history_plot([], metric) == parallel_plot([], space, metric) == ""
    assert slice_plot([], "epochs", space["epochs"], metric) == ""


def test_a_search_whose_results_are_all_equal_has_plots():
    outcomes = [Outcome(i, "complete", {"epochs": 2}, 0.0, 1) for i in range(2)]
    assert "circle" in history_plot(outcomes, Metric("val_loss"))
    assert "circle" in slice_plot(outcomes[:1], "epochs", Range("int", 2, 9), Metric("val_loss"))


def test_the_command_gives_the_very_values_back():
    report = make_report()
    program, *flags = shlex.split(" ".join(train_command(report, report.best)))[1:]
    assert program == "train"
    values = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    assert float(values["config.learning_rate"]) == 1 / 3000
    assert values["config.model.name"] == "esnet it's"
    assert values["config.data.figures_train"] == "33"
    assert values["workdir"] == "runs/<tuning>_best"
    assert "1:01:01" in format_text(report)
    assert "1:00 " in format_text(report)
    assert format_text(report).splitlines()[0] == (
        "5 trials: 2 complete, 1 pruned, 1 diverged, 1 running"
    )
