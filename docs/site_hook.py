"""Pages that lie outside docs/ become pages of the site, and links to other files of the repository become plain text.

So that a link works on both: in the repository as it stands, on the site as this hook turns it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# File of the repository → page of the site.
OUTSIDE = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "README.md": "project/readme.md",
    "benchmarks/README.md": "project/figures.md",
    "examples/README.md": "project/examples.md",
    "kernels/README.md": "project/kernels-folder.md",
}
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside."""
    from mkdocs.structure.files import File

    for source, page in OUTSIDE.items():
        if (ROOT / source).is_file():
            files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn the page's links."""
    here = page.file.src_uri
    origin = next((source for source, name in OUTSIDE.items() if name == here), f"docs/{here}")

    def turned(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return link[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        name = OUTSIDE.get(file, file.removeprefix("docs/") if file.startswith("docs/") else "")
        if files.get_file_from_path(name) is None:
            return str(text) if (ROOT / file).exists() else link[0]  # a broken link stays, and is reported
        return f"[{text}]({posixpath.relpath(name, posixpath.dirname(here) or '.')}{anchor})"

    return _LINK.sub(turned, markdown)
