"""The workload that the options ask for: photos of a folder, or rendered pictures."""

from __future__ import annotations

from edgevision.bench.session.options import BenchOptions
from edgevision.bench.workload.workload import Workload


def make_workload(options: BenchOptions) -> Workload:
    """Raises InputError where the folder holds no photos."""
    if options.data is not None:
        from edgevision.bench.workload.photos import from_folder

        return from_folder(options.data, count=options.frames, encoded=options.encoded)
    from edgevision.bench.workload.rendered import render

    return render(options.width, options.height, count=options.frames, seed=options.seed, encoded=options.encoded)
