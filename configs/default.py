"""Every key of a training run, with its unit. The other files change a few.

python launch/train.py --config=configs/default.py --config.data.spec=data.yaml --workdir=runs/a

Written by `python -m hierseg_jax.settings.default_file > configs/default.py`, from the keys that
hierseg_jax/settings declares.
"""

import ml_collections
from ml_collections import config_dict


def get_config() -> ml_collections.ConfigDict:
    """The reference's defaults, with its defects mended."""
    config = ml_collections.ConfigDict()

    config.data = ml_collections.ConfigDict()
    # What to train on: the path of a data.yaml, `figures` (drawn on the fly), or
    # `tfds:pascal_person_part`.
    config.data.spec = ""
    # A YAML file with another tree (`hierarchy`, `level_names`) over the data's classes; empty: the
    # data's own.
    config.data.hierarchy = ""
    # What the network sees of a picture, in pixels: one side of a square, or height,width. Sides
    # that are no multiples of the network's stride are rounded.
    config.data.image_size = config_dict.FieldReference(320, field_type=object)
    # How pictures come to that size: stretch (the reference's), letterbox (whole, with bars, which
    # count neither in losses nor in metrics), or crop (the middle).
    config.data.resize = "stretch"
    # Processes that read and augment; 0 reads in threads of this process, one a core.
    config.data.worker_count = 0
    # What to do about an image or mask that can't be read: fail, or skip it and say so.
    config.data.on_error = "fail"
    # Whether a run may begin though no training mask has a pixel of some class of the tree.
    config.data.allow_missing_classes = False
    # Whether a run may be continued though files of its data were added, removed or changed.
    config.data.allow_changed = False
    # Training pictures of `figures`; other data sets have their own numbers of pictures.
    config.data.figures_train = 600
    config.data.figures_val = 120  # Validation pictures of `figures`.
    config.data.figures_test = 120  # Test pictures of `figures`.

    config.model = ml_collections.ConfigDict()
    # effunet, esnet, or esnet_mini: a ninth of esnet, to try things out.
    config.model.name = "effunet"
    config.model.backbone = "b0"  # b0 to b7, lite0 to lite4; of effunet, not read for esnet.
    # Weights to start from. imagenet: of an installed package (lite0); a file with an EfficientNet
    # of torchvision, timm or efficientnet_pytorch; or a workdir or checkpoint folder of the same
    # network, whose classes may be others. Empty: fresh weights.
    config.model.pretrained = ""
    # Of the backbone's strided convolutions: symmetric, or same as TensorFlow has it. auto: as the
    # pretrained weights want it; without any, symmetric, as in the reference.
    config.model.padding = "auto"
    # Of the backbone's batch norm: 1e-5, or 1e-3 as TensorFlow has it. 0: as the pretrained weights
    # want it; without any, 1e-5, as in the reference.
    config.model.norm_epsilon = 0.0
    # Mean and deviation of RGB in [0, 1], taken off inside the network: none; imagenet; half (0.5,
    # 0.5); lite (127/255, 128/255). auto: as the pretrained weights want it; without any, none, as
    # in the reference.
    config.model.normalization = "auto"
    config.model.dtype = "float32"  # Of the arithmetic: float32 or bfloat16.
    config.model.dropout = True  # Whether channels are dropped in residual branches.
    # Rate in [0, 1) that dropping whole residual branches of the backbone rises to with their
    # depth, in place of channels; 0: none.
    config.model.stochastic_depth = 0.0
    # Channels of its own, and sigmoid scores, for every level of the tree, in place of one softmax
    # over the leaf classes.
    config.model.hierarchical = False
    # auto, xla or tuned: what computes convolutions (docs/performance.md).
    config.model.conv_impl = "auto"

    # Workdir or checkpoint folder of the same network and classes, all of whose weights a new run
    # starts from.
    config.init = ""
    # crossentropy, dice, iou, focal, tversky; hierarchical_crossentropy (flat heads); tree_min,
    # tree_min_focal, tree_triplet (hierarchical heads, at whose every level the first five are
    # taken). Or a sum, `tree_min_focal + 0.5*dice`, or {name: weight}.
    config.loss = config_dict.FieldReference("crossentropy", field_type=object)

    config.loss_options = ml_collections.ConfigDict()
    # Of focal and tree_min_focal: larger looks away from easy pixels.
    config.loss_options.gamma = 2.0
    # Of hierarchical_crossentropy: one weight a level, coarse to fine; empty: all 1.
    config.loss_options.level_weights = ()
    config.loss_options.triplets = 1000  # That tree_triplet draws in a step, on every device.
    config.loss_options.embedding_size = 64  # Features of tree_triplet's projection head.
    # Share of every target, in [0, 1), spread over all classes; of crossentropy. Like the next two
    # of training alone: what is validated is the plain loss.
    config.loss_options.label_smoothing = 0.0
    # Share of every picture's pixels that count, in (0, 1], the hardest ones; of crossentropy and
    # focal.
    config.loss_options.hard_share = 1.0
    # Of crossentropy and focal: none; from the training split inverse_sqrt (of a class's share of
    # the pixels) or median_frequency (inverse, of its share where it occurs), both within 0.1 and
    # 10 times the median class's; or numbers of the leaf classes, `0.3,1,2.5` in their order or
    # `torso: 1.2, head: 3`, others having 1. A group has the mean of its leaves.
    config.loss_options.class_weights = "none"

    # How predictions follow from scores: auto (path for hierarchical heads, leaf for flat ones),
    # leaf, top_down, path.
    config.decode = "auto"
    # Keep the outputs of blocks alone for the backward pass and compute their insides again: less
    # memory on GPUs and TPUs, and slower. Of no use on a CPU, whose compiler undoes it.
    config.remat = False
    # In training alone: none, reference (also True; the reference's), or modern: scaled by 0.5 to 2
    # and cropped, mirrored, colours jittered. Mirrors exchange the data's `pairs`.
    config.augment = config_dict.FieldReference("reference", field_type=object)
    config.batch_size = 32  # Images a step, over all devices.
    config.epochs = 30  # Epochs at most.
    config.learning_rate = 0.001  # The largest one: in the first epoch, or after the warm-up.
    # Factor on the learning rate after every epoch, of the exponential schedule.
    config.decay = 0.9

    config.optimizer = ml_collections.ConfigDict()
    config.optimizer.name = "adam"  # adam or adamw.
    # Of adamw: share of a kernel taken off it in a step, times the learning rate; norms and biases
    # are left alone.
    config.optimizer.weight_decay = 0.01
    config.optimizer.clip_norm = 0.0  # Largest norm of all gradients together; 0: any.
    config.optimizer.backbone_rate = 1.0  # Factor on the backbone's learning rate.
    # Factor, in (0, 1], on the learning rate of every stage of the backbone beside that of the next
    # one up.
    config.optimizer.layer_decay = 1.0

    config.schedule = ml_collections.ConfigDict()
    # exponential (by epochs), cosine or polynomial (by steps, over all epochs).
    config.schedule.name = "exponential"
    # Epochs in which the rate rises in a line; may be a fraction.
    config.schedule.warmup_epochs = 0.0
    config.schedule.final = 0.0  # Share of the rate left at the end, of cosine and polynomial.
    config.schedule.power = 0.9  # Of polynomial.

    # Epochs, from the first, in which the backbone keeps its weights and statistics; for backbones
    # that start from weights of their own.
    config.freeze_epochs = 0
    # Largest weight of the past, in [0, 1), in a moving average of the weights, which is then what
    # is validated, evaluated and exported; 0: no average.
    config.ema_decay = 0.0
    # Shown of every level, in the table, the curves and metrics.csv: miou, reference_miou,
    # precision, recall, f1, boundary_iou, pixel_accuracy, mean_accuracy, frequency_weighted_iou.
    config.metrics = ("miou", "reference_miou", "pixel_accuracy", "precision", "recall", "f1")
    # What the best checkpoint has the highest of, and early stopping waits for: one of the metrics,
    # of the finest level or as LEVEL.METRIC. Or `loss`, the lowest validation loss: a mean over
    # batches, which depends on batch_size and, with dice, on the order of the pictures.
    config.best = "miou"
    config.patience = 5  # Epochs without a better one before stopping; 0: never.
    config.seed = 0  # Of weights, dropout, shuffling and augmentation.
    config.save_period = 0  # Epochs between checkpoints kept for good; 0: none.
    config.keep_best = 1  # Number of the best checkpoints kept.
    config.keep_last = 1  # Number of the most recent checkpoints kept.
    config.samples = 6  # Validation pictures in samples.png.
    config.tensorboard = True  # Whether scalars and sample pictures are written for TensorBoard.
    return config
