"""How the benchmarks train: one recipe for each backbone, sized to fit 30 minutes on 2 idle cores, everything included.

Input sizes above what the networks were made for, and the augmentation, were chosen by their top-1 on val.txt (see README.md here);
Lite1's and Lite2's sizes follow Lite0's and were not tried against others before training.

No weights of MobileNetV3 and ResNet install from PyPI, so these start from random ones, at sizes that two cores can
train in ten minutes. Their accuracy is what that gives; what int8 takes from it is what they are here for.
"""

_SCRATCH = ("--scratch", "--mixup", 0, "--cutmix", 0, "--ema", 0.98)
RECIPES: dict[str, tuple[object, ...]] = {
    "lite0": ("--arch", "lite0", "--size", 256, "--epochs", 16, "--minutes", 22),
    "lite1": ("--arch", "lite1", "--size", 272, "--epochs", 16, "--minutes", 22),
    "lite2": ("--arch", "lite2", "--size", 288, "--epochs", 16, "--minutes", 22),
    "mobilenet_v3_large": (
        "--arch", "torchvision:mobilenet_v3_large", "--size", 128, "--lr", 2e-3, "--epochs", 120, "--minutes", 10, *_SCRATCH,
    ),
    "resnet18": (
        "--arch", "torchvision:resnet18", "--size", 112, "--lr", 1e-3, "--epochs", 60, "--minutes", 7, *_SCRATCH,
    ),
}  # fmt: skip
