"""How the benchmarks train: one recipe for each backbone, sized to fit 30 minutes on 2 idle cores, everything included.

Inputs are a size above what the networks were made for: products differ in small print.
"""

RECIPES: dict[str, tuple[object, ...]] = {
    "lite0": ("--size", 256, "--epochs", 16, "--minutes", 22),
    "lite1": ("--size", 272, "--epochs", 16, "--minutes", 22),
    "lite2": ("--size", 288, "--epochs", 16, "--minutes", 22),
}
