"""``python -m edgevision``."""

import sys

from edgevision.cli.entry import main

sys.exit(main())
