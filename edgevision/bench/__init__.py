"""The benchmark harness: what a target takes, measured so that an opponent would accept the figure.

The way through: an address on the command line → ``targets`` opens it in a ``process`` of its own → ``scenarios`` ask it, with the
frames of the frozen ``workload`` → blocks of raw samples → ``session`` takes turns between targets until it is decided or the time is
spent → ``statistics`` make figures → ``record`` is written → ``report`` shows it.
"""
