"""How the benchmarks train: one recipe for each backbone.

EfficientNet-Lite learns as ``edgevision train`` does with no option but the network's name, so that what is published is what
everybody gets. Input size and augmentation of these defaults were chosen by their top-1 on val.txt (see README.md here). On two
idle cores Lite0 takes 14 minutes where they have bfloat16, and half an hour where they have not.

No weights of MobileNetV3 and ResNet install from PyPI, so these start from random ones, at sizes that two cores can
train in ten minutes. Their accuracy is what that gives; what int8 takes from it is what they are here for.
"""

_SCRATCH = ("--scratch", "--mixup", 0, "--cutmix", 0, "--ema", 0.98)
RECIPES: dict[str, tuple[object, ...]] = {
    "lite0": ("--arch", "lite0"),
    "lite1": ("--arch", "lite1"),
    "lite2": ("--arch", "lite2"),
    "mobilenet_v3_large": (
        "--arch", "torchvision:mobilenet_v3_large", "--size", 128, "--lr", 2e-3, "--epochs", 120, "--minutes", 10, *_SCRATCH,
    ),
    "resnet18": (
        "--arch", "torchvision:resnet18", "--size", 112, "--lr", 1e-3, "--epochs", 60, "--minutes", 7, *_SCRATCH,
    ),
}  # fmt: skip
