"""Every key of a training run, with its unit. The other files change a few.

hierseg train --config=default --config.data.spec=data.yaml --workdir=runs/a

Written by `python .ci/default_config.py > configs/default.py`, from the keys that
hierseg_jax/settings declares. "The reference" is the PyTorch code whose networks, losses and
training this project reproduces.
"""

import ml_collections
from ml_collections import config_dict


def get_config() -> ml_collections.ConfigDict:
    """The reference's defaults, with its defects mended."""
    config = ml_collections.ConfigDict()

    config.data = ml_collections.ConfigDict()
    # What to train on: the path of a data.yaml, `figures` (drawn on the fly), `tfds:NAME`, or
    # `module:function` of your own. Several as a sum, `a.yaml + 0.5*b.yaml`, or a list: a weight
    # says how often an epoch draws every example, and classes meet by name (docs/more_data.md).
    config.data.spec = config_dict.FieldReference("", field_type=object)
    # A folder of pictures without masks, those in folders below it as well, which a run with a
    # teacher trains on too: they learn from the teacher alone. Empty: none.
    config.data.unlabelled = ""
    # A folder of pictures that show none of the classes, those in folders below it as well: every
    # pixel is learned as background. Empty: none.
    config.data.negatives = ""
    # A YAML file with another tree (`hierarchy`, `level_names`) over the data's classes, or with
    # the classes of data that don't name them; empty: the data's own, of several data sets the
    # first's.
    config.data.hierarchy = ""
    # What the network sees of a picture, in pixels: one side of a square, or height,width. Sides
    # that are no multiples of the network's stride are rounded.
    config.data.image_size = config_dict.FieldReference(320, field_type=object)
    # How pictures come to that size: stretch, letterbox (whole, between bars, which no metric
    # counts), or crop (the middle).
    config.data.resize = "stretch"
    # How pixels are sampled for it: exact (about their centres, averaged where pictures shrink by
    # more than 2), or reference, as the PyTorch reference does it, which moves labels by up to half
    # a pixel.
    config.data.sampling = "exact"
    # Processes that read and augment; 0 reads in threads of this process, one a core.
    config.data.worker_count = 0
    # Where training pictures stay once they are decoded: none (validation pictures are decoded
    # anew, too), host (in memory, with the same results to the bit), device (where augment=modern
    # is done, too), or auto: device on GPUs, else host or none, by what there is room for.
    config.data.cache = "auto"
    # What training pictures teach beside what they show, in the bars of a letterbox and where
    # augment=modern shrinks them: that it is background, where the classes have one, or nothing
    # (ignored). Where augment=reference shrinks them it is always background.
    config.data.beside = "background"
    # What to do about an image or mask that can't be read: fail, or skip it and say so.
    config.data.on_error = "fail"
    # Whether a run may begin where a class of the tree has no pixel in any training mask.
    config.data.allow_missing_classes = False
    # Whether a run may go on where files of its data were added, removed or changed.
    config.data.allow_changed = False
    # Training pictures of `figures`; other data sets have their own numbers of pictures.
    config.data.figures_train = 600
    config.data.figures_val = 120  # Validation pictures of `figures`.
    config.data.figures_test = 120  # Test pictures of `figures`.
    # Share of the pictures of `figures` that are labelled by upper_body and lower_body alone, not
    # by parts.
    config.data.figures_inner_share = 0.0

    config.model = ml_collections.ConfigDict()
    # The network: effunet, esnet, esnet_small, esnet_mini. esnet_small has a quarter of esnet's
    # weights and takes less than half of its time; esnet_mini is a ninth, to try things out.
    config.model.name = "effunet"
    # Backbone of effunet: b0, b1, b2, b3, b4, b5, b6, b7, lite0, lite1, lite2, lite3, lite4,
    # lite0_short. Other networks do not read it.
    config.model.backbone = "b0"
    # Decoder of effunet: the reference's, or fine, which has one step more, to half of the
    # picture's size, and interpolates between steps (docs/training.md).
    config.model.decoder = "reference"
    # Weights to start from: imagenet (of the extra pretrained; lite0 to lite2), a file with an
    # EfficientNet of torchvision, timm or efficientnet_pytorch, or the same network with any
    # classes: a workdir, a checkpoint's folder, an .onnx file of hierseg export, or
    # street_photographs, the one in the package. Empty: fresh weights.
    config.model.pretrained = ""
    # Padding of the backbone's strided convolutions: symmetric, or same as TensorFlow has it. auto:
    # as the pretrained weights want it; without any, symmetric, as in the reference.
    config.model.padding = "auto"
    # Epsilon of the backbone's batch norm: 1e-5, or 1e-3 as TensorFlow has it. 0: as the pretrained
    # weights want it; without any, 1e-5, as in the reference.
    config.model.norm_epsilon = 0.0
    # How the network normalizes pictures, by mean and deviation of RGB in [0, 1]: none; imagenet;
    # half (0.5, 0.5); lite (127/255, 128/255). auto: as the pretrained weights want it; without
    # any, none, as in the reference.
    config.model.normalization = "auto"
    # Of the arithmetic: float32 or bfloat16 (less memory, faster on accelerators and on CPUs with
    # AMX).
    config.model.dtype = "float32"
    # Of convolutions and matrix products in float32: default (TF32 on GPUs, bfloat16 on TPUs), high
    # (TF32 on GPUs, three passes of bfloat16 on TPUs) or highest (float32). A CPU has float32
    # anyway.
    config.model.matmul_precision = "default"
    config.model.dropout = True  # Whether training drops channels in residual branches.
    # Training drops whole residual branches of the backbone, in place of single channels. The rate
    # rises from 0 at the first block to nearly this, in [0, 1), at the last. 0: none.
    config.model.stochastic_depth = 0.0
    # True: every level of the tree has channels of its own, with sigmoid scores. False: one softmax
    # over the leaf classes.
    config.model.hierarchical = False
    # Of a flat head. True: a class's probability is the product of softmaxes among siblings along
    # its path from the root. False: one softmax over all leaf classes.
    config.model.sibling_softmax = False
    # What the head's biases begin at: none (small random numbers), or frequency (scores are then
    # the classes' shares of the training pixels). Weights to start from go before it.
    config.model.prior = "none"
    # How logits come to the size of the picture that the network sees: bicubic (to twice their
    # size, and bilinear from there), bilinear, or nearest, as in the reference. Networks whose
    # logits have that size anyway do not read it.
    config.model.upsampling = "bicubic"
    # What computes convolutions: auto, xla or tuned (docs/kernels.md).
    config.model.conv_impl = "auto"

    # Workdir or checkpoint folder of the same network and classes. A new run starts from all of its
    # weights, in place of model.pretrained=imagenet. Empty: fresh weights, or those of
    # model.pretrained.
    config.init = ""
    # A name, a sum such as `tree_min_focal + 0.5*dice`, or {name: weight}. With any head:
    # crossentropy, dice, focal, iou, tversky, lovasz, boundary; a hierarchical head takes them at
    # every level. With flat heads: hierarchical_crossentropy, soft_crossentropy. With hierarchical
    # heads: tree_min, tree_min_focal. Beside another loss: tree_triplet and, with hierarchical
    # heads, logic_rules.
    config.loss = config_dict.FieldReference("crossentropy", field_type=object)

    config.loss_options = ml_collections.ConfigDict()
    # Of focal and tree_min_focal: the larger, the less easy pixels count.
    config.loss_options.gamma = 2.0
    # Whether a flat head has its losses of classes (crossentropy, dice, ...) at every level of the
    # tree, on sums of the leaves' probabilities. A hierarchical head always has.
    config.loss_options.every_level = False
    # Of every_level and hierarchical_crossentropy: one weight a level, coarse to fine; empty: all
    # 1.
    config.loss_options.level_weights = ()
    # Of soft_crossentropy: how fast targets fall with the distance to the label; the larger, the
    # harder the labels.
    config.loss_options.beta = 10.0
    # Triplets that tree_triplet draws in a step on each device.
    config.loss_options.triplets = 1000
    config.loss_options.embedding_size = 64  # Features of tree_triplet's projection head.
    # Of crossentropy: share of every target, in [0, 1), that is spread over all classes. Like the
    # next two keys it acts in training alone: validation takes the plain loss.
    config.loss_options.label_smoothing = 0.0
    # Of crossentropy and focal: share of every picture's pixels, in (0, 1], that count: the hardest
    # ones.
    config.loss_options.hard_share = 1.0
    # Of crossentropy and focal: none, a rule, or numbers. A rule gives rare classes of the training
    # split more weight: inverse_sqrt by 1 / root of the share of all pixels, median_frequency by 1
    # / share in the pictures that show the class. Weights of a rule stay within 0.1 and 10 times
    # the median class's. Numbers are those of the leaf classes: `0.3,1,2.5` in their order, or
    # `torso: 1.2, head: 3` with 1 for the others. A group has the mean of its leaves.
    config.loss_options.class_weights = "none"

    # Workdir or checkpoint folder of a trained network of the same classes, from which the run
    # learns beside the labels; a list of several, whose probabilities are averaged
    # (docs/distillation.md). Empty: none.
    config.teacher = config_dict.FieldReference("", field_type=object)

    config.teacher_options = ml_collections.ConfigDict()
    config.teacher_options.weight = 1.0  # Of the teacher's term, beside the loss of the labels.
    # What the logits of both are divided by; the larger, the more the teacher's less likely classes
    # count.
    config.teacher_options.temperature = 1.0
    # once: the teacher looks at every whole picture before the first epoch, and its scores are kept
    # in the cache folder. each_step: it looks at every example as it was augmented.
    config.teacher_options.scores = "once"
    # What it sees of a picture, in pixels: one side, or height,width; 0: its own size.
    config.teacher_options.image_size = config_dict.FieldReference(0, field_type=object)
    # Whether its scores are averaged over mirrored pictures too.
    config.teacher_options.flip = False
    config.teacher_options.scales = (1.0,)  # Of the sides, over which its scores are averaged.

    # How predictions follow from scores: auto (path for hierarchical heads, leaf for flat ones),
    # leaf, top_down, path or logic (docs/tree.md).
    config.decode = "auto"
    # Keep only the outputs of blocks for the backward pass, and compute their insides again. Takes
    # less memory on GPUs and TPUs, and is slower. Of no use on a CPU, whose compiler undoes it.
    config.remat = False
    # How a step is spread over several devices: by jax.pmap, or by jit, that is jax.jit over a mesh
    # of them, with arrays whose NamedSharding says where they lie. Both compute the same
    # (docs/scaling.md). One device needs neither.
    config.parallel = "pmap"
    # How training pictures are varied: none, reference (the reference's way; also True), or modern
    # (scaled and cropped, mirrored, colours jittered). Mirroring exchanges the classes of the
    # data's `pairs`.
    config.augment = config_dict.FieldReference("reference", field_type=object)
    # Of augment=modern, the least and the largest factor by which pictures are scaled, from 0.1 to
    # 4. Raise the largest where things will be seen from nearer than in the training pictures
    # (docs/recipes.md).
    config.augment_scales = (0.5, 2.0)

    config.mixing = ml_collections.ConfigDict()
    # Share of the training pictures, in [0, 1], whose background, bars included where they are
    # taught as that, is painted over with a colour that goes over into another.
    config.mixing.backdrop = 0.0
    # Share of the training pictures, in [0, 1], that are made dark and tinted; the same share,
    # drawn by itself, is blurred, and again the same share gets noise, or loses its colours.
    config.mixing.poor_camera = 0.0
    # Share of the training pictures, in [0, 1], that become four pictures of the batch at half
    # their sides, two by two; some of them twice where it has fewer.
    config.mixing.mosaic = 0.0
    # Share of the training pictures, in [0, 1], onto which the foreground of another one of the
    # batch is pasted with its labels: all that is labelled and is not the background.
    config.mixing.copy_paste = 0.0
    # Share of the training pictures, in [0, 1], onto which a rectangle of another one is pasted
    # with its labels.
    config.mixing.cutmix = 0.0
    # Share of the training pictures, in [0, 1], into which another one is blended; the loss is that
    # of both labels, weighted alike.
    config.mixing.mixup = 0.0
    # Of mixup: the weight is drawn from Beta(alpha, alpha), once a step. The smaller, the nearer it
    # mostly is to 0 or 1; with 1 it is drawn evenly.
    config.mixing.mixup_alpha = 0.2

    # Shares of data.image_size, above 0 and at most 1, that the sides of training pictures have: of
    # several, such as 0.5,0.75,1, one after another for equal numbers of epochs (progressive
    # resizing). Validation always has data.image_size. Empty: training, too.
    config.progressive = ()
    config.batch_size = 32  # Images a step, over all devices.
    config.epochs = 30  # Epochs at most.
    # The largest learning rate: a warm-up rises to it, and the schedule falls from it.
    config.learning_rate = 0.001
    # Of the exponential schedule: factor on the learning rate after every epoch.
    config.decay = 0.9

    config.optimizer = ml_collections.ConfigDict()
    config.optimizer.name = "adam"  # adam or adamw.
    # Weight decay of adamw: a step takes this share, times the learning rate, off every kernel.
    # Norms and biases are not decayed.
    config.optimizer.weight_decay = 0.01
    config.optimizer.clip_norm = 0.0  # Largest norm of all gradients together; 0: any.
    # Factor on the backbone's learning rate; 1: that of the rest.
    config.optimizer.backbone_rate = 1.0
    # Factor, in (0, 1], between the learning rates of neighbouring stages of the backbone. The last
    # stage has the backbone's rate; each earlier stage has this factor times the rate of the stage
    # after it. 1: one rate for all.
    config.optimizer.layer_decay = 1.0

    config.schedule = ml_collections.ConfigDict()
    # exponential (by epochs), cosine or polynomial (by steps, over all epochs).
    config.schedule.name = "exponential"
    # Epochs in which the rate rises linearly; may be a fraction. Half of a run that is no longer,
    # but for exponential.
    config.schedule.warmup_epochs = 0.0
    config.schedule.final = 0.0  # Of cosine and polynomial: share of the rate left at the end.
    config.schedule.power = 0.9  # Exponent of polynomial.

    # Number of epochs, from the first, in which the backbone keeps its weights and statistics. For
    # a backbone that starts from pretrained weights.
    config.freeze_epochs = 0
    # Decay of a moving average of the weights, in [0, 1): the share that the average keeps of
    # itself in a step, which is smaller in the first steps. The average is what is validated,
    # evaluated and exported. 0: no average.
    config.ema_decay = 0.0
    # Training batches, before every validation, from which the batch statistics of the averaged
    # weights are computed anew; some tens are enough. 0: they are averaged, too. Needs ema_decay.
    config.reestimate_statistics = 0
    # Shown of every level, in the table, the curves and metrics.csv. Choose from miou,
    # reference_miou, precision, recall, f1, boundary_iou, pixel_accuracy, mean_accuracy,
    # frequency_weighted_iou.
    config.metrics = ("miou", "pixel_accuracy", "precision", "recall", "f1")
    # The best checkpoint has the highest value of this metric, and early stopping waits for it: one
    # of `metrics`, of the finest level, or LEVEL.METRIC. Or `loss`, the lowest validation loss: a
    # mean over batches, which depends on batch_size and, with dice, on the order of the pictures.
    config.best = "miou"
    config.patience = 5  # Epochs without a better one before the run stops; 0: never.
    config.seed = 0  # Of weights, dropout, shuffling and augmentation.
    config.save_period = 0  # A checkpoint is kept for good every so many epochs; 0: none.
    config.keep_best = 1  # Number of the best checkpoints kept.
    config.keep_last = 1  # Number of the most recent checkpoints kept.
    config.samples = 6  # Validation pictures in samples.png.
    config.tensorboard = True  # Whether scalars and sample pictures are written for TensorBoard.
    return config.lock()  # a key that there is not is an error
