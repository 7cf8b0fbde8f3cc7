"""Whether everybody can use a page: axe-core, targets, what is cut off, and the way of the Tab key. ``page``: a ``chromium.Tab``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SCREENS = [(1080, 1920), (1024, 768), (390, 844)]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def found_by_axe(page: Any) -> list[str]:
    """Every violation, of any impact, with where it is."""
    if not page.run("typeof axe !== 'undefined'"):
        page.run(AXE.read_text("utf-8") + "; 0")
    options = json.dumps({"runOnly": RULES, "resultTypes": ["violations"]})
    found = page.run(
        f"axe.run(document, {options}).then(r => r.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.target.join(' ') + ' ' + n.failureSummary)]))"
    )
    return [f"{id} ({impact}): {nodes}" for id, impact, nodes in found]


# What a shopper may press, and how large it is on the screen; those that are on the page at all.
TARGETS = """[...document.querySelectorAll('button, input, select, a[href]')]
  .filter(e => e.checkVisibility({visibilityProperty: true}) && !e.classList.contains('skip'))
  .map(e => { const r = e.getBoundingClientRect(); return [e.outerHTML.slice(0, 90), r.width, r.height] })"""
# Text that is cut off or runs over the side of the window; a field of its own scrolls what is typed.
LOST = """[...document.querySelectorAll('body *')].filter(e => e.checkVisibility({visibilityProperty: true}) && !e.closest('.out-of-sight, .camera, svg, .tile, .skip, input'))
  .filter(e => { const r = e.getBoundingClientRect(); const s = getComputedStyle(e);
    return r.right > innerWidth + 1 || r.left < -1 || (s.overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1)
      || (s.overflowY === 'hidden' && e.scrollHeight > e.clientHeight + 1) })
  .map(e => e.outerHTML.slice(0, 120))"""


def tab_to(page: Any, script: str) -> list[str]:
    """Press Tab until the focused element fits; what had the focus on the way."""
    way = []
    for _ in range(80):
        page.press("Tab")
        way.append(page.run("document.activeElement.outerHTML.slice(0, 80)"))
        if page.run(f"(e => {script})(document.activeElement)"):
            ring = page.run("getComputedStyle(document.activeElement).outlineStyle")
            assert ring != "none", "the focus cannot be seen"
            return way
    raise AssertionError("never came there: " + "\n".join(way))
