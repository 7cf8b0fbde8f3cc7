"""Whole runs of a very small network: it learns, it goes on after a kill to the same weights, and it keeps its word."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from edgevision.decode import read_image
from edgevision.errors import DataError, EdgeVisionError, InputError, ModelFileError
from edgevision.preprocess import Preprocessor
from edgevision.train import backbones, classifier, load_checkpoint, train, trainer
from edgevision.train.checkpoint import model_from_checkpoint
from edgevision.train.progress import SilentProgress
from edgevision.train.validate import Score, Validation

pytestmark = pytest.mark.requires("torch")


class KilledError(Exception):
    pass


class Recorder(SilentProgress):
    """Keeps what it is told; ends the run after step ``kill_after``."""

    def __init__(self, kill_after=None):
        self.kill_after = kill_after
        self.messages, self.steps, self.epochs = [], [], []

    def message(self, text):
        self.messages.append(text)

    def step(self, report):
        self.steps.append(report)

    def epoch(self, report):
        self.epochs.append(report)


class KilledAtSave:
    """Stands for ``save_state``: after the ``n``-th state is written, the process is gone."""

    def __init__(self, n):
        self.left = n

    def __call__(self, *args):
        real_save_state(*args)
        self.left -= 1
        if self.left == 0:
            raise KilledError


real_save_state = trainer.save_state


def same_weights(a, b):
    return all(torch.equal(a.state_dict[name], value) for name, value in b.state_dict.items())


def test_learns_three_colours(tiny, other_photos):
    options = tiny(val=other_photos, epochs=25, batch=12, lr=5e-3, head_lr=1e-2, patience=None, photos=False)
    recorder = Recorder()
    result = train(options, recorder)
    assert result.score.top1 == 100
    assert recorder.steps[-1].progress == 1
    assert len(recorder.steps) == result.steps == 50
    assert len(recorder.epochs) == 25
    assert recorder.epochs[-1].train_loss < 0.7 * recorder.epochs[0].train_loss
    loaded = load_checkpoint(options.output)
    assert same_weights(loaded, result.checkpoint)
    assert loaded.training["metrics"]["top1"] == 100
    assert [label.name for label in loaded.labels] == ["blue", "green", "red"]
    assert not options.state_path.exists()


@pytest.mark.parametrize("kill_after", [1, 3, 4, 9])
def test_a_killed_run_goes_on_to_the_same_weights(
    tiny, other_photos, unknown_photos, tmp_path, monkeypatch, kill_after
):
    """Across frozen and free steps, epochs, accumulation, mixing, dropout, stochastic depth, photos of no class and the learning rate."""
    monkeypatch.setattr(backbones, "pretrained", backbones.build)  # so that the head learns alone at first
    options = tiny(
        scratch=False, val=other_photos, epochs=3.3, freeze_epochs=1, batch=4, accumulate=2, mixup=0.3, cutmix=0.3,
        arch_options={"width": 0.25, "depth": 0.3, "features": 32, "dropout": 0.3, "drop_path": 0.3}, photos=False,
        ood_data=unknown_photos,
    )  # fmt: skip
    straight = train(options)
    assert straight.steps == 10
    broken = replace(options, output=tmp_path / "broken.pt", save_every_s=0)
    monkeypatch.setattr(trainer, "save_state", KilledAtSave(kill_after))
    with pytest.raises(KilledError):
        train(broken)
    monkeypatch.setattr(trainer, "save_state", real_save_state)
    assert not broken.output.exists()
    recorder = Recorder()
    resumed = train(replace(broken, resume=True), recorder)
    assert recorder.steps[0].step == kill_after + 1
    assert f"going on after step {kill_after} of 10" in recorder.messages
    assert same_weights(resumed.checkpoint, straight.checkpoint)
    assert [(e.epoch, e.train_loss, e.score, e.best) for e in resumed.epochs] == [
        (e.epoch, e.train_loss, e.score, e.best) for e in straight.epochs
    ]


def test_sigkill_leaves_a_state_to_go_on_from(tiny, colour_photos, tmp_path):
    options = tiny(photos=False, epochs=2, batch=8)
    script = f"""
import os, signal
from pathlib import Path
from edgevision.train import TrainOptions, train
from edgevision.train.progress import SilentProgress
class Killer(SilentProgress):
    def step(self, report):
        if report.step == 4:
            os.kill(os.getpid(), signal.SIGKILL)
train(TrainOptions(data=Path({str(colour_photos)!r}), output=Path({str(options.output)!r}), scratch=True, size=32, epochs=2,
    batch=8, threads=1, device="cpu", ema=0.8, sizes=(1.0,), warmup_epochs=0.5, photos=False, save_every_s=0, mixup=0.0, cutmix=0.0,
    arch_options={dict(options.arch_options)!r}), Killer())
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=120, env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    assert options.state_path.exists()
    recorder = Recorder()
    resumed = train(replace(options, resume=True), recorder)
    assert recorder.steps[0].step == 4
    assert same_weights(resumed.checkpoint, train(replace(options, output=tmp_path / "straight.pt")).checkpoint)


def test_a_run_goes_on_only_as_it_was_begun(tiny, monkeypatch):
    options = tiny(photos=False, save_every_s=0)
    monkeypatch.setattr(trainer, "save_state", KilledAtSave(2))
    with pytest.raises(KilledError):
        train(options)
    with pytest.raises(InputError, match=r"another lr \(lr: 0\.0005, now 0\.001\)"):
        train(replace(options, lr=1e-3, resume=True))
    options.state_path.write_bytes(options.state_path.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="truncated"):
        train(replace(options, resume=True))
    options.state_path.unlink()
    monkeypatch.setattr(trainer, "save_state", real_save_state)
    recorder = Recorder()
    train(replace(options, resume=True, epochs=0.4), recorder)
    assert any("starting anew" in message for message in recorder.messages)


def test_two_batches_of_four_give_the_gradients_of_one_of_eight(tiny, monkeypatch):
    found = []

    class Spy(torch.optim.AdamW):
        def step(self, closure=None):
            found.append([p.grad.clone() for group in self.param_groups for p in group["params"] if p.grad is not None])
            return super().step(closure)

    monkeypatch.setattr(trainer.torch.optim, "AdamW", Spy)
    monkeypatch.setattr(backbones, "pretrained", backbones.build)  # frozen statistics: photos do not see each other
    monkeypatch.setattr(trainer, "choose_compute", lambda device: trainer.Compute(torch.device("cpu"), bfloat16=False))
    plain = {"width": 0.25, "depth": 0.3, "features": 32, "dropout": 0.0, "drop_path": 0.0}
    for changes in ({"batch": 8}, {"batch": 4, "accumulate": 2}):
        train(
            tiny(scratch=False, freeze_epochs=0, arch_options=plain, epochs=0.3, photos=False, clip_norm=1e6, **changes)
        )
    assert len(found) == 2
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)


def test_the_head_learns_alone_first(tiny, monkeypatch):
    monkeypatch.setattr(backbones, "pretrained", backbones.build)
    body = []

    class Watch(SilentProgress):
        def step(self, report):
            body.append({n: p.detach().clone() for n, p in run.model.named_parameters() if "classifier" not in n})

    run = trainer._Run(tiny(scratch=False, freeze_epochs=1, epochs=2), Watch())
    run._train()
    changed = [any(not torch.equal(a[n], b[n]) for n in a) for a, b in itertools.pairwise(body)]
    assert changed == [False, False, True, True, True]


def test_the_head_learns_alone_for_its_share_of_the_time_too(tiny, monkeypatch):
    """Half of 500 epochs would never end in one minute of 1000 that were planned."""
    monkeypatch.setattr(backbones, "pretrained", backbones.build)
    seconds = [0.0]
    clock_of(monkeypatch, seconds)
    alone = []

    def watched(training, network, *, head_only):
        alone.append(head_only)
        seconds[0] += 5.0

    monkeypatch.setattr(classifier.ClassifyTraining, "set_mode", watched)
    train(tiny(scratch=False, freeze_epochs=250, epochs=1000, minutes=1.0, photos=False))
    assert alone == [True] * 3 + [False] * 8  # a quarter of the 54 seconds that are for training


def test_frozen_stages_keep_their_weights(tiny, monkeypatch):
    monkeypatch.setattr(backbones, "pretrained", backbones.build)
    run = trainer._Run(tiny(scratch=False, freeze_epochs=1, epochs=2, frozen_stages=2), SilentProgress())
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run._train()
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    blocks = {stage: f"blocks.{place}." for place, stage in enumerate(run.model.stages)}
    for stage, name in blocks.items():
        assert any(one.startswith(name) for one in changed) == (stage >= 2)
    assert not any(name.startswith("stem.") for name in changed)
    assert {"head.conv.weight", "classifier.weight"} <= changed


def test_parameter_groups(tiny):
    options = tiny(lr=1e-4, head_lr=1e-2, weight_decay=0.1)
    model = backbones.build("lite0", 3, **options.arch_options)
    groups = trainer.parameter_groups(model, backbones.classifier_head(model).parameters(), options)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    for group in groups:
        names = [n for n, p in model.named_parameters() if any(p is q for q in group["params"])]
        assert len({n.startswith("classifier") for n in names}) == 1
        assert group["lr"] == (1e-2 if names[0].startswith("classifier") else 1e-4)
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] == 0.1}


def test_stops_when_val_gets_no_better_and_keeps_the_best(tiny, other_photos, monkeypatch):
    scores = iter([50.0, 80.0, 80.0, 70.0, 79.0, 99.0])
    kept = []

    def score(self, model, compute, *, exact=False):
        if exact:
            return Score(80.0, 100.0, 0.0)
        kept.append({name: value.clone() for name, value in model.state_dict().items()})
        return Score(next(scores), 100.0, 1.0)

    monkeypatch.setattr(Validation, "score", score)
    result = train(tiny(val=other_photos, epochs=50, patience=3, batch=24, photos=False))
    assert result.stopped_early
    assert [report.best for report in result.epochs] == [True, True, False, False, False]
    assert result.checkpoint.training["best_epoch"] == result.checkpoint.training["kept_epoch"] == 2
    assert all(torch.equal(kept[1][name], value) for name, value in result.checkpoint.state_dict.items())


def test_without_patience_the_last_weights_are_kept(tiny, other_photos, monkeypatch):
    scores = iter([50.0, 80.0, 70.0])
    kept = []

    def score(self, model, compute, *, exact=False):
        if not exact:
            kept.append({name: value.clone() for name, value in model.state_dict().items()})
        return Score(70.0 if exact else next(scores), 100.0, 1.0)

    monkeypatch.setattr(Validation, "score", score)
    result = train(tiny(val=other_photos, epochs=3, patience=None, batch=24, photos=False))
    record = result.checkpoint.training
    assert (record["best_epoch"], record["kept_epoch"]) == (2, 3)
    assert all(torch.equal(kept[-1][name], value) for name, value in result.checkpoint.state_dict.items())


def test_a_time_budget_ends_the_schedule(tiny, monkeypatch):
    clock = iter(range(100_000))
    monkeypatch.setattr(trainer.RunClock, "elapsed_s", property(lambda self: float(next(clock))))
    recorder = Recorder()
    result = train(tiny(epochs=1000, minutes=1.0, sizes=(0.5, 2.0), photos=False), recorder)
    assert 3 < result.steps < 54  # 54 seconds are for training, and every look at the clock takes one
    assert recorder.steps[-1].progress > 0.8
    assert recorder.steps[-1].lr < 0.3 * max(report.lr for report in recorder.steps)
    assert {report.size for report in recorder.steps} == {32, 64}
    assert load_checkpoint(result.path).training["planned_steps"] == 3000


def clock_of(monkeypatch, seconds):
    """The run's clock shows ``seconds[0]``."""
    monkeypatch.setattr(trainer.RunClock, "elapsed_s", property(lambda self: seconds[0]))


def test_too_little_time_for_a_step_writes_nothing(tiny, monkeypatch):
    clock_of(monkeypatch, [61.0])
    options = tiny(minutes=1.0)
    options.state_path.write_bytes(b"of another run")
    with pytest.raises(
        InputError, match=r"1 minutes are too few: 1\.02 had gone by before step 1 of 6.*more --minutes"
    ):
        train(options)
    assert not options.output.exists()
    assert options.state_path.read_bytes() == b"of another run"


def test_a_run_whose_time_is_spent_is_kept_to_go_on_with_more(tiny, monkeypatch):
    options = tiny(photos=False, save_every_s=0, minutes=1.0)
    seconds = [0.0]
    clock_of(monkeypatch, seconds)
    monkeypatch.setattr(trainer, "save_state", KilledAtSave(2))
    with pytest.raises(KilledError):
        train(options)
    monkeypatch.setattr(trainer, "save_state", real_save_state)
    state = options.state_path.read_bytes()
    seconds[0] = 90.0
    with pytest.raises(InputError, match=r"before step 3 of 6.*state is kept"):
        train(replace(options, resume=True))
    assert not options.output.exists()
    assert options.state_path.read_bytes() == state
    assert train(replace(options, resume=True, minutes=3.0)).steps == 6


def test_time_for_validation_is_kept_in_reserve_after_a_break_too(tiny, other_photos, monkeypatch):
    options = tiny(photos=False, save_every_s=0, minutes=1.0, val=other_photos, epochs=2)
    clock_of(monkeypatch, [0.0])
    monkeypatch.setattr(trainer, "save_state", KilledAtSave(4))  # one step after the first validation
    with pytest.raises(KilledError):
        train(options)
    state = torch.load(options.state_path, weights_only=True)
    assert state["reserve_s"] > trainer.RunClock(6, 60.0).reserve_s
    assert trainer._Run(replace(options, resume=True), SilentProgress()).clock.reserve_s == state["reserve_s"]


def test_time_that_runs_out_between_two_steps_still_ends_an_epoch(tiny, other_photos, monkeypatch):
    seconds = [0.0]
    clock_of(monkeypatch, seconds)
    monkeypatch.setattr(trainer._Run, "_save_if_due", lambda self, epoch_ended: seconds.__setitem__(0, 1e6))
    result = train(tiny(minutes=1.0, val=other_photos, photos=False))
    assert result.steps == 1  # of three in an epoch
    assert [(report.epoch, report.step, report.best) for report in result.epochs] == [(1, 1, True)]
    assert result.epochs[0].train_loss > 0


@pytest.mark.parametrize("arch", ["lite0-detect", "lite0-embed", "lite2-embed"])
def test_a_network_of_another_task_is_refused_before_anything_is_read(tiny, arch, tmp_path):
    with pytest.raises(
        InputError, match=f"--task classify trains lite0, lite1, lite2, torchvision:NAME, got --arch {arch}"
    ):
        train(tiny(arch=arch, data=tmp_path / "nothing"))


@pytest.mark.parametrize("option", ["data", "val", "labels", "teacher", "ood_data"])
def test_what_is_read_is_not_written_over(tiny, colour_photos, tmp_path, option):
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{path}, {path.parent.name}\n" for path in sorted(colour_photos.rglob("*.png"))))
    text = listed.read_text()
    link = tmp_path / "link.txt"
    link.symlink_to(listed)
    with pytest.raises(InputError, match="would be replaced by the checkpoint; name another with -o"):
        train(tiny(output=link, **{option: listed}))
    assert listed.read_text() == text
    assert link.is_symlink()


def test_distils_from_a_teacher(tiny, tmp_path, no_augmentation):
    teacher = tiny(output=tmp_path / "teacher.pt", epochs=10, lr=5e-3, head_lr=1e-2, photos=False)
    train(teacher)
    alone = Recorder()
    options = tiny(
        teacher=teacher.output, distil_weight=1.0, epochs=20, lr=5e-3, head_lr=1e-2, photos=False, seed=1,
        augmentation=no_augmentation,
    )  # fmt: skip
    result = train(options, alone)
    assert alone.steps[-1].loss < 0.5 * alone.steps[0].loss
    assert result.checkpoint.training["teacher"] is not None


def test_photos_of_no_class_teach_it_to_doubt_such_and_not_its_own(
    tiny, other_photos, unknown_photos, other_unknown_photos, tmp_path
):
    """Seen on photos that it never saw, of colours that it saw as no class."""
    strange = other_unknown_photos
    usual = {"epochs": 25, "batch": 12, "lr": 5e-3, "head_lr": 1e-2, "patience": None, "photos": False}
    best = {}
    for name, more in (("without", {}), ("with", {"ood_data": unknown_photos, "ood_weight": 1.0})):
        result = train(tiny(val=other_photos, output=tmp_path / f"{name}.pt", **usual, **more))
        assert result.score.top1 == 100
        network = model_from_checkpoint(result.checkpoint).eval()
        preprocessor = Preprocessor(result.checkpoint.preprocess)
        for folder in (strange, other_photos):
            pictures = preprocessor.batch([read_image(path) for path in sorted(folder.rglob("*.png"))])
            with torch.no_grad():
                best[name, folder] = network(torch.from_numpy(pictures)).softmax(1).max(1).values
    assert best["with", strange].max() < best["with", other_photos].min()
    assert best["with", strange].mean() < best["without", strange].mean() - 0.1
    assert load_checkpoint(tmp_path / "with.pt").training["data"]["ood"] == 12


def test_the_checkpoint_carries_photos_unless_told_not_to(tiny, other_photos):
    with_photos = train(tiny(val=other_photos, epochs=0.5)).checkpoint.photos
    assert len(with_photos.validation) == 6
    assert not any(photo.in_training_set for photo in with_photos.validation)
    assert train(tiny(epochs=0.5, photos=False)).checkpoint.photos is None


def test_the_checkpoint_names_every_photo_it_was_trained_on(tiny, colour_photos, other_photos):
    checkpoint = load_checkpoint(train(tiny(val=other_photos, epochs=0.3, photos=False)).path)
    with_unknown = load_checkpoint(train(tiny(ood_data=other_photos, epochs=0.3, photos=False)).path)
    for one, folder, expected in (
        (checkpoint, colour_photos, True), (checkpoint, other_photos, False), (with_unknown, other_photos, True),
    ):  # fmt: skip
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.png")]
        assert hashes
        assert {one.was_trained_on(sha256) for sha256 in hashes} == {expected}


def test_torchvision_network(tiny):
    result = train(tiny(arch="torchvision:shufflenet_v2_x0_5", arch_options={}, epochs=0.7, photos=False))
    assert result.checkpoint.preprocess.crop_ratio < 1
    assert load_checkpoint(result.path).arch == "torchvision:shufflenet_v2_x0_5"


def test_a_loss_that_is_not_a_number_ends_the_run(tiny, monkeypatch):
    monkeypatch.setattr(classifier, "label_loss", lambda logits, targets, smoothing: logits.sum() * float("nan"))
    with pytest.raises(EdgeVisionError, match=r"loss became nan at step 1.*lower --lr"):
        train(tiny())


def test_process_settings_are_put_back(tiny):
    import cv2

    torch.manual_seed(11)
    expected, before = torch.initial_seed(), (torch.get_num_threads(), cv2.getNumThreads())
    state = torch.get_rng_state()
    train(tiny(epochs=0.01, photos=False, threads=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.initial_seed() == expected
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


def test_data_that_will_not_do(tiny, tmp_path, colour_photos):
    (tmp_path / "empty").mkdir()
    one = tmp_path / "one"
    one.mkdir()
    (one / "red").symlink_to(colour_photos / "red")
    listed = tmp_path / "one.txt"
    listed.write_text("".join(f"{path}, red\n" for path in (colour_photos / "red").iterdir()))
    val = tmp_path / "val.txt"
    val.write_text(f"{colour_photos / 'red' / '0.png'}, purple\n")
    cases = [
        ({"data": tmp_path / "empty"}, "no photos"), ({"data": colour_photos / "red"}, "needs a class for each photo"),
        ({"data": listed}, "at least 2 classes"), ({"val": val}, "'purple'"), ({"val": tmp_path / "nowhere"}, "no such file"),
    ]  # fmt: skip
    for changes, message in cases:
        with pytest.raises(DataError, match=message):
            train(tiny(**changes))


def test_warns_of_val_photos_that_were_trained_on(tiny, colour_photos):
    recorder = Recorder()
    result = train(tiny(val=colour_photos, epochs=0.4, photos=False, resume=True), recorder)
    assert any("24 of the 24 photos" in message for message in recorder.messages)
    assert [note.split(" ")[0] for note in result.notes] == ["24", "there"]  # no state to go on from


def test_a_target_that_cannot_be_written_is_refused_before_training(tiny, tmp_path):
    with pytest.raises(InputError, match="folder does not exist"):
        train(tiny(output=tmp_path / "nowhere" / "model.pt"))
