"""The exact size of every network, against figures that were counted apart from this code."""

from __future__ import annotations

import pytest

from keras_resnet.facts import architectures

# depth, shortcut, further options, trainable weights, batch statistics, multiply-adds
IMAGENET = [
    # The paper: Table 1 with each shortcut, and the plain networks.
    (18, None, {}, 11_515_688, 7_808, 1_794_805_760),
    (34, None, {}, 21_623_848, 15_232, 3_644_493_824),
    (18, "A", {}, 11_515_688, 7_808, 1_794_805_760),
    (18, "B", {}, 11_689_512, 9_600, 1_814_073_344),
    (18, "C", {}, 12_043_816, 11_648, 1_878_298_624),
    (34, "A", {}, 21_623_848, 15_232, 3_644_493_824),
    (34, "B", {}, 21_797_672, 17_024, 3_663_761_408),
    (34, "C", {}, 22_716_840, 22_784, 3_830_747_136),
    (50, "B", {}, 25_557_032, 53_120, 3_857_973_248),
    (50, "C", {}, 40_128_552, 75_648, 6_324_224_000),
    (101, "B", {}, 44_549_160, 105_344, 7_570_194_432),
    (101, "C", {}, 76_981_288, 162_688, 13_530_300_416),
    (152, "B", {}, 60_192_808, 151_424, 11_282_415_616),
    (152, "C", {}, 107_335_720, 239_488, 20_736_376_832),
    (50, "A", {}, 22_780_456, 45_440, 3_498_311_680),
    (101, "A", {}, 41_772_584, 97_664, 7_210_532_864),
    (152, "A", {}, 57_416_232, 143_744, 10_922_754_048),
    (50, None, {}, 22_780_456, 45_440, 3_498_311_680),
    (101, None, {}, 41_772_584, 97_664, 7_210_532_864),
    (152, None, {}, 57_416_232, 143_744, 10_922_754_048),
    # The stride in the 3x3 convolution of a bottleneck ("v1.5").
    (18, "B", {"bottleneck_stride": "3x3"}, 11_689_512, 9_600, 1_814_073_344),
    (34, "B", {"bottleneck_stride": "3x3"}, 21_797_672, 17_024, 3_663_761_408),
    (50, "B", {"bottleneck_stride": "3x3"}, 25_557_032, 53_120, 4_089_184_256),
    (101, "B", {"bottleneck_stride": "3x3"}, 44_549_160, 105_344, 7_801_405_440),
    (152, "B", {"bottleneck_stride": "3x3"}, 60_192_808, 151_424, 11_513_626_624),
    (50, "C", {"bottleneck_stride": "3x3"}, 40_128_552, 75_648, 6_555_435_008),
    # Pre-activation (He et al., 2016).
    (50, "B", {"preactivation": True}, 25_549_352, 45_440, 3_857_973_248),
    (101, "B", {"preactivation": True}, 44_541_480, 97_664, 7_570_194_432),
    (152, "B", {"preactivation": True}, 60_185_128, 143_744, 11_282_415_616),
    # ResNet50V2 and the deeper ones of keras.applications, without the biases that batch normalization takes in.
    (50, "B", {"preactivation": "slim", "bottleneck_stride": "3x3"}, 25_549_416, 45_440, 3_482_255_360),
    (101, "B", {"preactivation": "slim", "bottleneck_stride": "3x3"}, 44_541_544, 97_664, 7_194_476_544),
    (152, "B", {"preactivation": "slim", "bottleneck_stride": "3x3"}, 60_185_192, 143_744, 10_906_697_728),
    # The paper's networks at the scales of Section 3.4.
    (34, "B", {"input_shape": (256, 256, 3)}, 21_797_672, 17_024, 4_785_164_288),
    (34, "B", {"input_shape": (384, 384, 3)}, 21_797_672, 17_024, 10_765_979_648),
    (34, "B", {"input_shape": (480, 480, 3)}, 21_797_672, 17_024, 16_821_555_200),
    (34, "B", {"input_shape": (640, 640, 3)}, 21_797_672, 17_024, 29_904_588_800),
    (50, "B", {"input_shape": (256, 256, 3)}, 25_557_032, 53_120, 5_038_358_528),
    (50, "B", {"input_shape": (384, 384, 3)}, 25_557_032, 53_120, 11_333_746_688),
    (50, "B", {"input_shape": (480, 480, 3)}, 25_557_032, 53_120, 17_707_827_200),
    (50, "B", {"input_shape": (640, 640, 3)}, 25_557_032, 53_120, 31_478_988_800),
    (101, "B", {"input_shape": (256, 256, 3)}, 44_549_160, 105_344, 9_886_973_952),
    (101, "B", {"input_shape": (384, 384, 3)}, 44_549_160, 105_344, 22_243_131_392),
    (101, "B", {"input_shape": (480, 480, 3)}, 44_549_160, 105_344, 34_753_740_800),
    (101, "B", {"input_shape": (640, 640, 3)}, 44_549_160, 105_344, 61_782_835_200),
    (152, "B", {"input_shape": (256, 256, 3)}, 60_192_808, 151_424, 14_735_589_376),
    (152, "B", {"input_shape": (384, 384, 3)}, 60_192_808, 151_424, 33_152_516_096),
    (152, "B", {"input_shape": (480, 480, 3)}, 60_192_808, 151_424, 51_799_654_400),
    (152, "B", {"input_shape": (640, 640, 3)}, 60_192_808, 151_424, 92_086_681_600),
    # ResNet-50 v1.5 at the training and test crops of later recipes.
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (128, 128, 3)}, 25_557_032, 53_120, 1_336_623_104),
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (160, 160, 3)}, 25_557_032, 53_120, 2_087_321_600),
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (176, 176, 3)}, 25_557_032, 53_120, 2_608_132_096),
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (192, 192, 3)}, 25_557_032, 53_120, 3_004_841_984),
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (208, 208, 3)}, 25_557_032, 53_120, 3_623_481_344),
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (232, 232, 3)}, 25_557_032, 53_120, 4_661_439_488),
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (240, 240, 3)}, 25_557_032, 53_120, 4_805_652_480),
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (256, 256, 3)}, 25_557_032, 53_120, 5_340_348_416),
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (288, 288, 3)}, 25_557_032, 53_120, 6_758_334_464),
    (50, "B", {"bottleneck_stride": "3x3", "input_shape": (320, 320, 3)}, 25_557_032, 53_120, 8_343_142_400),
]

CIFAR = [
    # CIFAR-10, every shortcut.
    (20, None, {}, 269_722, 1_376, 40_551_040),
    (20, "A", {}, 269_722, 1_376, 40_551_040),
    (20, "B", {}, 272_474, 1_568, 40_813_184),
    (20, "C", {}, 283_962, 2_048, 42_648_192),
    (32, None, {}, 464_154, 2_272, 68_862_592),
    (32, "A", {}, 464_154, 2_272, 68_862_592),
    (32, "B", {}, 466_906, 2_464, 69_124_736),
    (32, "C", {}, 489_594, 3_392, 72_532_608),
    (44, None, {}, 658_586, 3_168, 97_174_144),
    (44, "A", {}, 658_586, 3_168, 97_174_144),
    (44, "B", {}, 661_338, 3_360, 97_436_288),
    (44, "C", {}, 695_226, 4_736, 102_417_024),
    (56, None, {}, 853_018, 4_064, 125_485_696),
    (56, "A", {}, 853_018, 4_064, 125_485_696),
    (56, "B", {}, 855_770, 4_256, 125_747_840),
    (56, "C", {}, 900_858, 6_080, 132_301_440),
    (110, None, {}, 1_727_962, 8_096, 252_887_680),
    (110, "A", {}, 1_727_962, 8_096, 252_887_680),
    (110, "B", {}, 1_730_714, 8_288, 253_149_824),
    (110, "C", {}, 1_826_202, 12_128, 266_781_312),
    (1202, None, {}, 19_421_274, 89_632, 2_829_238_912),
    (1202, "A", {}, 19_421_274, 89_632, 2_829_238_912),
    (1202, "B", {}, 19_424_026, 89_824, 2_829_501_056),
    (1202, "C", {}, 20_538_714, 134_432, 2_986_263_168),
    # CIFAR-100.
    (20, "A", {"classes": 100}, 275_572, 1_376, 40_556_800),
    (32, "A", {"classes": 100}, 470_004, 2_272, 68_868_352),
    (44, "A", {"classes": 100}, 664_436, 3_168, 97_179_904),
    (56, "A", {"classes": 100}, 858_868, 4_064, 125_491_456),
    (110, "A", {"classes": 100}, 1_733_812, 8_096, 252_893_440),
    (1202, "A", {"classes": 100}, 19_427_124, 89_632, 2_829_244_672),
    # Pre-activation (He et al., 2016), and ResNet-164 without.
    (110, "A", {"preactivation": True}, 1_727_962, 8_096, 252_887_680),
    (164, "B", {"preactivation": True}, 1_703_258, 24_224, 244_500_992),
    (1001, "B", {"preactivation": True}, 10_327_706, 149_216, 1_487_849_984),
    (164, "B", {}, 1_704_154, 25_120, 244_500_992),
]


def size(architecture, **options):
    counts = architectures.count(architecture, **options)
    return counts.trainable, counts.non_trainable, counts.multiply_adds


@pytest.mark.parametrize(("depth", "shortcut", "options", "trainable", "non_trainable", "multiply_adds"), IMAGENET)
def test_imagenet_counts(depth, shortcut, options, trainable, non_trainable, multiply_adds):
    expected = (trainable, non_trainable, multiply_adds)
    assert size(architectures.imagenet(depth), shortcut=shortcut, **options) == expected


@pytest.mark.parametrize(("depth", "shortcut", "options", "trainable", "non_trainable", "multiply_adds"), CIFAR)
def test_cifar_counts(depth, shortcut, options, trainable, non_trainable, multiply_adds):
    block = "bottleneck" if depth in (164, 1001) else "basic"
    expected = (trainable, non_trainable, multiply_adds)
    assert size(architectures.cifar(depth, block), shortcut=shortcut, **options) == expected


def test_the_tables_above_are_complete():
    assert {depth for depth, *_ in IMAGENET} == set(architectures.IMAGENET)
    published = {(depth, shortcut) for depth, shortcut, *_ in CIFAR}
    assert {(depth, s) for depth in (20, 32, 44, 56, 110, 1202) for s in architectures.SHORTCUTS} <= published
    assert (len(IMAGENET), len(CIFAR)) == (58, 34)


def test_total_is_what_keras_calls_total_params():
    assert architectures.count(architectures.imagenet(50)).total == 25_610_152


@pytest.mark.parametrize("depth", [*architectures.IMAGENET])
def test_depth_counts_weighted_layers_without_projections(depth):
    layers = list(architectures.layers(architectures.imagenet(depth), shortcut="C"))
    assert sum(layer.kind != "batch_normalization" and not layer.shortcut for layer in layers) == depth


@pytest.mark.parametrize(("depth", "block"), [(8, "basic"), (20, "basic"), (110, "basic"), (11, "bottleneck")])
def test_cifar_depth_counts_weighted_layers(depth, block):
    layers = list(architectures.layers(architectures.cifar(depth, block), shortcut="A"))
    assert sum(layer.kind != "batch_normalization" for layer in layers) == depth


@pytest.mark.parametrize("preactivation", architectures.PREACTIVATIONS)
@pytest.mark.parametrize("shortcut", architectures.SHORTCUTS)
def test_layer_names_are_unique(shortcut, preactivation):
    layers = architectures.layers(architectures.imagenet(50), shortcut=shortcut, preactivation=preactivation)
    names = [layer.name for layer in layers]
    assert len(names) == len(set(names))


def test_layer_names_are_those_of_keras_applications():
    names = [layer.name for layer in architectures.layers(architectures.imagenet(50))]
    assert names[:4] == ["conv1_conv", "conv1_bn", "conv2_block1_1_conv", "conv2_block1_1_bn"]
    assert {"conv2_block1_0_conv", "conv2_block1_0_bn", "conv4_block6_3_conv", "conv5_block3_3_bn"} <= set(names)
    assert names[-1] == "predictions"


def test_thirteen_more_projections_in_c_than_in_b():
    b, c = (
        sum(
            layer.shortcut and layer.kind == "convolution" for layer in architectures.layers(network, shortcut=shortcut)
        )
        for network in [architectures.imagenet(34)]
        for shortcut in ("B", "C")
    )
    assert (b, c - b) == (3, 13)


def test_the_stride_moves_work_but_no_weights():
    network = architectures.imagenet(101)
    v1, v1_5 = (architectures.count(network, bottleneck_stride=stride) for stride in ("1x1", "3x3"))
    assert v1_5.multiply_adds - v1.multiply_adds == 231_211_008
    assert (v1.trainable, v1.non_trainable) == (v1_5.trainable, v1_5.non_trainable)


NETWORKS = [
    *map(architectures.imagenet, architectures.IMAGENET),
    *map(architectures.cifar, (8, 20)),
    architectures.cifar(11, "bottleneck"),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: f"{network.block} {network.depth}")
@pytest.mark.parametrize("shortcut", architectures.SHORTCUTS)
def test_the_stride_of_slim_moves_work_and_its_only_new_weights_are_a_bias(shortcut, network):
    first, last = (
        architectures.count(network, shortcut=shortcut, preactivation=preactivation) for preactivation in (True, "slim")
    )
    assert last.trainable == first.trainable + network.stem.filters
    assert last.non_trainable == first.non_trainable
    assert last.multiply_adds < first.multiply_adds


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: f"{network.block} {network.depth}")
def test_slim_has_the_stride_of_a_stage_one_block_earlier(network):
    """And so nowhere before the first block of all, nor in the last one."""
    first, last = ([block.strides for block in network.plan(preactivation)] for preactivation in (True, "slim"))
    assert last == [*first[1:], 1]


def test_odd_sizes_are_rounded_up():
    heights = {
        layer.name: layer.height for layer in architectures.layers(architectures.cifar(8), input_shape=(9, 9, 1))
    }
    assert [heights[f"conv{stage}_block1_2_conv"] for stage in (2, 3, 4)] == [9, 5, 3]


def test_strides_are_the_smallest_input():
    assert architectures.imagenet(18).strides == 32
    assert architectures.cifar(20).strides == 4


@pytest.mark.parametrize("depth", [20, 21, 0, -18, None, "18", 50.0, 200])
def test_imagenet_refuses_depths_that_table_1_lacks(depth):
    with pytest.raises(ValueError, match=r"^`depth` must be one of 18, 34, 50, 101, 152\. Received: depth="):
        architectures.imagenet(depth)


@pytest.mark.parametrize("depth", [21, 2, 0, -4, "20", 8.0, None, True])
def test_cifar_refuses_depths_that_are_not_6n_plus_2(depth):
    with pytest.raises(ValueError, match=r"^`depth` must be 6n\+2 \(20, 32, 44, 56, 110, 1202, …\)") as error:
        architectures.cifar(depth)
    assert str(error.value).endswith(f"Received: depth={depth!r}")


@pytest.mark.parametrize("depth", [21, 32, 2])
def test_cifar_bottleneck_refuses_depths_that_are_not_9n_plus_2(depth):
    with pytest.raises(ValueError, match=r"^`depth` must be 9n\+2 \(29, 47, 164, 1001, …\)"):
        architectures.cifar(depth, "bottleneck")


@pytest.mark.parametrize("block", ["wide", None, "Basic"])
def test_cifar_refuses_unknown_blocks(block):
    with pytest.raises(ValueError, match=r"^`block` must be one of basic, bottleneck\. Received: block="):
        architectures.cifar(20, block)
