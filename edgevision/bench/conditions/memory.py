"""Memory: how much is left, and how it is given out."""

from __future__ import annotations

from collections.abc import Mapping

from edgevision.bench.conditions.roots import Roots, text_of

# What changes how a C library hands out memory, and so how often a request waits for the kernel.
_MALLOC = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "PYTHONMALLOC", "MIMALLOC_", "TCMALLOC_", "JE_MALLOC_CONF")


def memory(roots: Roots) -> dict[str, int]:
    """Bytes: "total", "available" (free, or soon where it is wanted), "swap_used"; without those that the system does not tell."""
    fields = {}
    for line in (text_of(roots.proc / "meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            fields[name] = int(words[0]) * 1024
    found = {
        key: fields[name] for key, name in (("total", "MemTotal"), ("available", "MemAvailable")) if name in fields
    }
    if "SwapTotal" in fields and "SwapFree" in fields:
        found["swap_used"] = fields["SwapTotal"] - fields["SwapFree"]
    return found


def huge_pages(roots: Roots) -> str:
    """When the kernel gives out large pages: "always", "madvise" or "never"; "not readable" where it does not tell."""
    text = text_of(roots.sys / "kernel" / "mm" / "transparent_hugepage" / "enabled") or ""
    return text.partition("[")[2].partition("]")[0] or "not readable"


def malloc_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Of the environment, what changes how memory is handed out."""
    return {name: value for name, value in sorted(environment.items()) if name.startswith(_MALLOC)}
