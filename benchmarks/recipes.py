"""How the benchmarks train: one recipe for each backbone, sized to fit 30 minutes on 2 idle cores."""

RECIPES: dict[str, tuple[object, ...]] = {
    "lite0": ("--epochs", 20, "--minutes", 24),
    "lite1": ("--epochs", 20, "--minutes", 24),
    "lite2": ("--epochs", 20, "--minutes", 24),
}
