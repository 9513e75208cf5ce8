"""What `hierseg models` lists, held against the code."""

import subprocess
import sys

import pytest

from hierseg_jax.commands.known_networks import (
    NOTES,
    NUM_CLASSES,
    SIDE,
    format_networks,
    known_networks,
)
from hierseg_jax.models import NETWORKS, create_model, summarize

QUICK = ("lite0_short", "esnet_mini")


def counted(known):
    model = create_model(known.name, NUM_CLASSES, backbone=known.backbone)
    rows = summarize(model, (SIDE, SIDE))
    return sum(row.parameters for row in rows), sum(row.multiply_adds for row in rows)


def test_every_network_is_listed_and_nothing_else():
    listed = [(known.name, known.backbone) for known in known_networks()]
    choices = {name: network.backbones or (None,) for name, network in NETWORKS.items()}
    assert sorted(listed, key=str) == sorted(
        ((name, backbone) for name in choices for backbone in choices[name]), key=str
    )
    assert {known.note for known in known_networks() if known.miou} == NOTES.keys()


def test_sizes_are_those_of_the_networks():
    quick = [known for known in known_networks() if (known.backbone or known.name) in QUICK]
    assert len(quick) == len(QUICK)
    for known in quick:
        assert counted(known) == (known.parameters, known.multiply_adds), known


@pytest.mark.slow
def test_sizes_are_those_of_the_networks_with_every_backbone():
    for known in known_networks():
        assert counted(known) == (known.parameters, known.multiply_adds), known


def test_the_list_is_narrow_and_comes_without_jax(tmp_path):
    assert max(map(len, format_networks(known_networks()).splitlines())) <= 90
    script = (
        "import sys\nsys.argv = ['hierseg', 'models']\n"
        "from hierseg_jax.commands.hierseg import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('heavy:', {'jax', 'flax', 'optax', 'orbax', 'grain'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith(format_networks(known_networks()))
    assert "In the package, for persons in street photographs" in done.stdout
    assert done.stdout.endswith("heavy: set()\n")
