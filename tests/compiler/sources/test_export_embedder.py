"""An embedder that `train` made comes out of the export with the vectors that it gave before."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.requires("compiler")


@pytest.mark.parametrize("pooling", ["average", "gem"])
def test_the_graph_gives_the_network_s_vectors(tmp_path, pooling):
    import onnxruntime as ort
    import torch

    from edgevision.compiler.sources.export import export_float
    from edgevision.compiler.sources.source import load_source
    from edgevision.preprocess.spec import preset
    from edgevision.tasks.embed import embed_spec
    from edgevision.tasks.results import Label
    from edgevision.train import backbones
    from edgevision.train.checkpoint import Checkpoint, save_checkpoint

    options = {"width": 0.25, "depth": 0.3, "features": 48, "dimension": 20, "pooling": pooling}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = backbones.build("lite0-embed", 0, **options).eval()
    spec, task = preset("lite", 32, 32), embed_spec(labels=(Label(0, "bottle"), Label(1, "can")))
    save_checkpoint(tmp_path / "e.pt", Checkpoint("lite0-embed", network.state_dict(), spec, task, options))
    source = load_source(tmp_path / "e.pt")
    assert source.task == task
    graph, _ = export_float(source)
    tensor = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = network(torch.from_numpy(tensor)).numpy()
    (output,) = session.get_outputs()
    assert (output.name, output.shape[1]) == ("output", 20)
    (got,) = session.run(None, {"input": tensor})
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=1e-4)
