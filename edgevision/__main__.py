"""``python -m edgevision``."""

import sys

from edgevision.cli.main import main

sys.exit(main())
