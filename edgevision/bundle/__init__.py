"""The ``.edge`` file: manifest, read, write, verify."""

from edgevision.bundle.manifest import Manifest
from edgevision.bundle.reader import Bundle, open_bundle
from edgevision.bundle.schema import parse_manifest
from edgevision.bundle.writer import write_bundle

__all__ = ["Bundle", "Manifest", "open_bundle", "parse_manifest", "write_bundle"]
