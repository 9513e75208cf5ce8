"""Losses of labels of any node by slow walks: pixel by pixel and node by node, in float64."""

import math

import numpy as np

from hierseg_jax.tree.parsing import Group, walk


def leaves_below(hierarchy):
    """The leaf classes that each label may be."""
    groups = {}

    def collect(children):
        for child in children:
            if isinstance(child, Group):
                groups[child.name] = {leaf for leaf, _ in walk(child.children)}
                collect(child.children)

    collect(hierarchy.children)
    count = hierarchy.num_classes
    names = hierarchy.labels.names[count:]
    return [{leaf} for leaf in range(count)] + [groups[name] for name in names]


def class_at(level, leaves):
    """The class of leaves at a level; None where they differ."""
    found = {int(level.leaf_to_class[leaf]) for leaf in leaves}
    return found.pop() if len(found) == 1 else None


def softmax(z):
    e = np.exp(z.astype(np.float64) - z.max())
    return e / e.sum()


def slow_crossentropy(hierarchy, logits, labels, weights, gamma=0.0, smoothing=0.0, share=1.0):
    below, count = leaves_below(hierarchy), hierarchy.num_classes
    total = divisor = 0.0
    for image, labels_hw in zip(logits, labels, strict=True):
        pixels = []
        for index, label in np.ndenumerate(labels_hw):
            if label == 255:
                continue
            p, leaves = softmax(image[index]), below[label]
            p_label = sum(p[leaf] for leaf in leaves)
            known = [class_at(level, leaves) for level in hierarchy.levels]
            finest = max(k for k, v in enumerate(known) if v is not None)
            weight = weights[finest][known[finest]]
            target = 1 - smoothing + smoothing / count * len(leaves)
            loss = -weight * target * np.log(p_label)
            for leaf in set(range(count)) - leaves:
                loss -= weights[-1][leaf] * smoothing / count * np.log(p[leaf])
            pixels.append((p_label, loss * (1 - p_label) ** gamma, weight))
        pixels.sort()
        for _, loss, weight in pixels[: int(np.ceil(share * len(pixels)))]:
            total, divisor = total + loss, divisor + weight
    return total / divisor if divisor else 0.0


def slow_tversky(p_of_pixels, classes, num_classes, alpha, beta, weights=None):
    """Of pixels with their probabilities and true classes."""
    loss, weights = 0.0, [1.0] * len(classes) if weights is None else weights
    for v in range(num_classes):
        tp = fp = fn = 0.0
        for p, true, weight in zip(p_of_pixels, classes, weights, strict=True):
            tp += weight * p[v] * (true == v)
            fp += weight * p[v] * (true != v)
            fn += weight * (1 - p[v]) * (true == v)
        if v in classes:
            loss += 1 - (tp + 1) / (tp + alpha * fp + beta * fn + 1)
    return loss / num_classes


def counted_pixels(hierarchy, logits, labels):
    """Logits, leaves below the label, and the class at every level of all that count."""
    below = leaves_below(hierarchy)
    for index, label in np.ndenumerate(labels):
        if label != 255:
            known = [class_at(level, below[label]) for level in hierarchy.levels]
            yield logits[index], below[label], known


def slow_flat_tversky(hierarchy, logits, labels, alpha, beta):
    def of_level(p, classes, num_classes, weights):
        return slow_tversky(p, classes, num_classes, alpha, beta, weights)

    return slow_at_finest_levels(hierarchy, logits, labels, of_level)


def slow_at_finest_levels(hierarchy, logits, labels, of_level):
    """A pixel that is known farther down stands for those beside it that are not."""
    pixels = [(softmax(z), known) for z, _, known in counted_pixels(hierarchy, logits, labels)]
    total, weights = 0.0, [1.0] * len(pixels)
    for k, level in enumerate(hierarchy.levels):
        ends = [known for _, known in pixels if known[k] is not None and None not in known[:k]]
        ends = [known for known in ends if known[k + 1 :][:1] in ([], [None])]
        if k:
            above = [known[k - 1] for _, known in pixels]
            farther = [known[k - 1] for _, known in pixels if known[k] is not None]
            weights = [
                weight * above.count(known[k - 1]) / farther.count(known[k - 1])
                if known[k] is not None
                else 0.0
                for weight, (_, known) in zip(weights, pixels, strict=True)
            ]
        there = [i for i, (_, known) in enumerate(pixels) if known[k] is not None]
        p = [
            [pixels[i][0][level.leaf_to_class == v].sum() for v in range(level.num_classes)]
            for i in there
        ]
        classes = [pixels[i][1][k] for i in there]
        value = of_level(p, classes, level.num_classes, [weights[i] for i in there])
        total += value * len(ends) / max(len(pixels), 1)
    return total


def slow_by_level(hierarchy, logits, labels, of_level):
    """A sum over levels of `of_level(level, k, [(logits, true class) of those known there])`."""
    pixels = list(counted_pixels(hierarchy, logits, labels))
    return sum(
        of_level(level, k, [(z, known[k]) for z, _, known in pixels if known[k] is not None])
        for k, level in enumerate(hierarchy.levels)
    )


def slow_tree_min(hierarchy, logits, labels, gamma):
    """The loss and its gradient."""
    nodes = {}
    for k, (level, channels) in enumerate(
        zip(hierarchy.levels, hierarchy.level_channels, strict=True)
    ):
        for v in range(level.num_classes):
            leaves = set(np.flatnonzero(level.leaf_to_class == v).tolist())
            nodes[k, v] = (leaves, channels.start + v)
    below = leaves_below(hierarchy)
    count = max((labels != 255).sum(), 1)
    total, gradient = 0.0, np.zeros(logits.shape)
    for index, label in np.ndenumerate(labels):
        if label == 255:
            continue
        z = logits[index].astype(np.float64)
        for (k, _), (leaves, _) in nodes.items():
            if leaves >= below[label]:
                path = [c for (j, _), (ls, c) in nodes.items() if j <= k and ls >= leaves]
                c, sign = min(path, key=lambda c: z[c]), -1
            elif not leaves & below[label]:
                descend = [c for (j, _), (ls, c) in nodes.items() if j >= k and ls <= leaves]
                c, sign = max(descend, key=lambda c: z[c]), 1
            else:
                continue
            x = sign * z[c]
            s, soft = 1 / (1 + np.exp(-x)), np.logaddexp(0, x)
            share = 1 / (hierarchy.levels[k].num_classes * count)
            total += share * soft * s**gamma
            slope = s**gamma * (s + gamma * (1 - s) * soft)
            gradient[(*index, c)] += sign * share * slope
    return total, gradient


def expected_flat(name, hierarchy, logits, labels, options):
    ones = tuple((1.0,) * level.num_classes for level in hierarchy.levels)
    weights = options.class_weights or ones
    if name == "focal":
        given = {"gamma": options.gamma, "share": options.hard_share}
        return slow_crossentropy(hierarchy, logits, labels, weights, **given)
    if name == "crossentropy":
        given = {"smoothing": options.label_smoothing, "share": options.hard_share}
        return slow_crossentropy(hierarchy, logits, labels, weights, **given)
    if name == "hierarchical_crossentropy":
        total, pixels = 0.0, list(counted_pixels(hierarchy, logits, labels))
        for level in hierarchy.levels:
            for z, leaves, _ in pixels:
                classes = [level.leaf_to_class[leaf] for leaf in leaves]
                total -= np.log(softmax(z)[np.isin(level.leaf_to_class, classes)].sum())
        return total / max(len(pixels), 1)
    return slow_flat_tversky(hierarchy, logits, labels, 0.3, 0.7)


def expected_hierarchical(name, hierarchy, logits, labels):
    if name == "tree_min_focal":
        return slow_tree_min(hierarchy, logits, labels, 2.0)[0]

    def of_level(level, k, pixels):
        p = [softmax(z[hierarchy.level_channels[k]]) for z, _ in pixels]
        true = [v for _, v in pixels]
        if name == "dice":
            return slow_tversky(p, true, level.num_classes, 0.5, 0.5)
        return -np.mean([np.log(q[v]) for q, v in zip(p, true, strict=True)]) if p else 0.0

    return slow_by_level(hierarchy, logits, labels, of_level)


def triplets_by_walk(hierarchy, present):
    """Labels of all triplets that are known to be some, with their margins."""
    below, edges = leaves_below(hierarchy), hierarchy.distances
    found = {}
    for a in present:
        for p in present:
            farthest = max(edges[i, j] for i in below[a] for j in below[p])
            for n in present:
                nearest = min(edges[i, j] for i in below[a] for j in below[n])
                if farthest < nearest:
                    margin = 0.1 + 0.5 * (nearest - farthest) / (2 * hierarchy.num_levels)
                    found[a, p, n] = margin
    return found


def slow_lovasz(p_of_pixels, classes, num_classes, weights=None):
    """As the paper has it: the sorted errors of every class, times what each adds to its loss."""
    p_nc, true_n = np.asarray(p_of_pixels, np.float64).reshape(-1, num_classes), np.array(classes)
    weights_n = np.ones(len(true_n)) if weights is None else np.array(weights)
    losses = []
    for v in set(classes):
        own_n = true_n == v
        error_n = np.where(own_n, 1 - p_nc[:, v], p_nc[:, v])
        order_n = np.argsort(-error_n)
        own_n, error_n, weight_n = own_n[order_n], error_n[order_n], weights_n[order_n]
        size = (own_n * weight_n).sum()
        left_n = size - np.cumsum(own_n * weight_n)
        jaccard_n = 1 - left_n / (size + np.cumsum(~own_n * weight_n))
        losses.append(error_n @ np.diff(jaccard_n, prepend=0))
    return np.mean(losses) if losses else 0.0


def slow_boundary(p_of_pixels, sets, reach):
    """Of label maps whose pixels are sets of classes, empty where ignored, and of probabilities."""
    total = count = 0.0
    for p_hwc, sets_hw in zip(p_of_pixels, sets, strict=True):
        counted = [(at, own) for at, own in np.ndenumerate(sets_hw) if own]
        for at, own in counted:
            p = p_hwc[at]
            far = [(min(math.dist(at, other), reach) / reach, its) for other, its in counted]
            outside = min((d for d, its in far if not its <= own), default=1)
            loss = -outside * (sum(p[c] for c in own) - 1)
            for c in set(range(len(p))) - own:
                loss += min((d for d, its in far if c in its), default=1) * p[c]
            total, count = total + loss / 2, count + 1
    return total / max(count, 1)
