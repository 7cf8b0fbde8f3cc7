"""How the benchmarks train: one recipe for each backbone, sized to fit 30 minutes on 2 idle cores, everything included.

Input sizes above what the networks were made for, and the augmentation, were chosen by their top-1 on val.txt (see README.md here);
Lite1's and Lite2's sizes follow Lite0's and were not tried against others before training.
"""

RECIPES: dict[str, tuple[object, ...]] = {
    "lite0": ("--size", 256, "--epochs", 16, "--minutes", 22),
    "lite1": ("--size", 272, "--epochs", 16, "--minutes", 22),
    "lite2": ("--size", 288, "--epochs", 16, "--minutes", 22),
}
