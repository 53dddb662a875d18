"""Altering and mixing: published recipes to the formula, and every draw from the caller's rng."""

import numpy as np
import pytest
import torch

from fettle.modalities.altering import altered, mixed

FILL = (120.0, 110.0, 100.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def picture(side=24):
    return np.random.default_rng(3).integers(0, 256, (side, side, 3)).astype(np.uint8)


def views(kind, number=30, erasing=0.0):
    return [altered(picture(), kind=kind, erasing=erasing, fill=FILL, rng=rng(seed))
            for seed in range(number)]


@pytest.mark.parametrize(("kind", "erasing"), [("trivial", 0.0), ("rand", 0.0), ("none", 1.0)])
def test_the_same_rng_gives_the_same_bytes_and_others_give_others(kind, erasing):
    first, again = (views(kind, 8, erasing) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert len({one.tobytes() for one in first}) > 4
    assert {(one.shape, one.dtype) for one in first} == {((24, 24, 3), np.dtype(np.uint8))}


def test_torch_s_own_generator_is_left_as_it_was():
    before = torch.get_rng_state()
    views("trivial", 3, erasing=1.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_trivial_augment_is_one_operation_drawn_evenly_from_fourteen(monkeypatch):
    """Algorithm 1 of the paper, and the wide space of its table 1 with the identity."""
    from torchvision.transforms.v2 import TrivialAugmentWide

    drawn = []
    real = TrivialAugmentWide._apply_image_or_video_transform
    monkeypatch.setattr(
        TrivialAugmentWide, "_apply_image_or_video_transform",
        lambda self, image, name, *args, **more: drawn.append(name)
        or real(self, image, name, *args, **more))
    views("trivial", 280)
    assert len(drawn) == 280
    assert len(set(drawn)) == 14
    assert max(map(drawn.count, set(drawn))) < 45  # 20 are expected of each


def test_rand_augment_is_two_operations(monkeypatch):
    from torchvision.transforms.v2 import RandAugment

    drawn = []
    monkeypatch.setattr(
        RandAugment, "_apply_image_or_video_transform",
        lambda self, image, name, *args, **more: drawn.append(name) or image)
    views("rand", 10)
    assert len(drawn) == 20


def test_erasing_paints_one_rectangle_of_2_to_33_percent_in_the_color_that_is_seen_as_nothing():
    shares = []
    for one in views("none", 40, erasing=1.0):
        touched = (one != picture()).any(axis=2)
        assert (one[touched] == np.array(FILL, np.uint8)).all()
        rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
        inside = one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (inside == np.array(FILL, np.uint8)).all()
        shares.append(touched.mean())
    assert min(shares) > 0.01
    assert max(shares) < 0.36
    untouched = sum(np.array_equal(one, picture()) for one in views("none", 40, erasing=0.5))
    assert 8 < untouched < 32


def pair():
    return torch.full((3, 20, 20, 3), 200, dtype=torch.uint8), torch.full(
        (3, 20, 20, 3), 100, dtype=torch.uint8)


def test_mixup_lays_both_over_each_other_by_one_share_from_the_beta_distribution():
    one, other = pair()
    made, share = mixed(one, other, mixup=0.4, cutmix=0.0, rng=rng(5))
    assert share == np.random.default_rng(5).beta(0.4, 0.4)
    torch.testing.assert_close(made, torch.full_like(made, 200 * share + 100 * (1 - share)))


def test_cutmix_puts_a_rectangle_in_and_its_share_is_that_of_the_pixels():
    one, other = pair()
    for seed in range(20):
        made, share = mixed(one, other, mixup=0.0, cutmix=1.0, rng=rng(seed))
        assert set(made.unique().tolist()) <= {100, 200}
        assert made.dtype == torch.uint8
        assert share == pytest.approx(float((made[0, ..., 0] == 200).float().mean()))
        assert torch.equal(made[0], made[1])
    assert one.unique().tolist() == [200]


def test_the_rectangle_has_the_sides_of_the_paper_where_no_edge_cuts_it():
    """Equation 2: a share of 0.75 leaves a quarter, half the width and half the height."""
    class Drawn:
        beta = staticmethod(lambda a, b: 0.75)
        integers = staticmethod(lambda most: most // 2)

    made, share = mixed(*pair(), mixup=0.0, cutmix=1.0, rng=Drawn())
    inside = np.argwhere(made[0, ..., 0].numpy() == 100)
    assert (inside.min(axis=0).tolist(), inside.max(axis=0).tolist()) == ([5, 5], [14, 14])
    assert share == 0.75


def test_where_both_are_asked_for_a_coin_decides():
    kinds = [mixed(*pair(), mixup=0.4, cutmix=1.0, rng=rng(seed))[0].dtype for seed in range(60)]
    assert 15 < kinds.count(torch.uint8) < 45
