"""Class activations per place, the places of the highest, the region descriptor."""

import pytest
import torch

from reseen.errors import NotFitted, RecipeError
from reseen.heads import create_head
from reseen.heads.base import l2
from reseen.heads.museum.regions import convolutional_classifier, covered, feature_windows, top_places


def test_top_places_are_the_highest_maxima_best_first():
    torch.manual_seed(0)
    activations = torch.randn(3, 5, 4, 6)
    places, values = top_places(activations, 4)
    for photo in range(3):
        flat = sorted((float(activations[photo, :, y, x].max()), (y, x)) for y in range(4) for x in range(6))[::-1]
        assert [tuple(p) for p in places[photo].tolist()] == [place for _, place in flat[:4]]
        assert values[photo].tolist() == pytest.approx([value for value, _ in flat[:4]])


def test_fewer_places_than_asked_for_are_all_taken():
    places, values = top_places(torch.zeros(2, 3, 1, 2), 4)
    assert places.tolist() == [[[0, 0], [0, 1]]] * 2 and values.shape == (2, 2)


def test_feature_windows_equal_slices():
    maps = torch.randn(2, 3, 9, 11)
    places = torch.tensor([[[0, 0], [4, 6]], [[2, 1], [3, 3]]])
    windows = feature_windows(maps, places, 5)
    for photo in range(2):
        for k in range(2):
            y, x = places[photo, k].tolist()
            assert torch.equal(windows[photo, k], maps[photo, :, y : y + 5, x : x + 5].flatten())


def test_small_maps_are_covered_by_their_border():
    maps = torch.arange(6.0).view(1, 1, 2, 3)
    padded = covered(maps, 4)
    assert padded.shape == (1, 1, 4, 4)
    assert padded[0, 0].tolist() == [[0, 1, 2, 2], [0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert covered(padded, 4) is padded


@pytest.mark.parametrize("hidden", [(), (11, 13)])
def test_the_classifier_slides_over_larger_maps(hidden):
    classifier = convolutional_classifier(6, 4, 3, hidden).eval()
    maps = torch.randn(2, 6, 5, 7)
    whole = classifier(maps)
    assert whole.shape == (2, 4, 3, 5)
    for y in range(3):
        for x in range(5):
            part = classifier(maps[:, :, y : y + 3, x : x + 3])
            torch.testing.assert_close(part[:, :, 0, 0], whole[:, :, y, x])


def test_the_region_descriptor_written_out():
    torch.manual_seed(1)
    head = create_head("instance", [6], grid=3, places=2, dim=8, classes=4).eval()
    maps = torch.randn(2, 6, 5, 4)
    vectors = head([maps])
    weight, bias = head.project.weight, head.project.bias
    for photo in range(2):
        activations = head.classifier(maps[photo : photo + 1])[0].amax(0)
        total = torch.zeros(8)
        for flat in activations.flatten().argsort(descending=True)[:2].tolist():
            y, x = divmod(flat, activations.shape[1])
            window = maps[photo, :, y : y + 3, x : x + 3].flatten()
            total = total + weight @ (window / window.norm()) + bias
        torch.testing.assert_close(vectors[photo], total / total.norm())


def test_activations_at_the_places_are_given_and_gradients_reach_both_parts():
    head = create_head("instance", [6], grid=3, places=3, dim=8, classes=4)
    maps = torch.randn(2, 6, 5, 4, requires_grad=True)
    vectors, chosen = head.describe([maps])
    assert vectors.shape == (2, 8) and chosen.shape == (2, 3, 4)
    highest = head.activations([maps]).amax(1).flatten(1).topk(3).values
    torch.testing.assert_close(chosen.amax(-1), highest)
    (l2(vectors)[0] @ l2(vectors)[1] + chosen.logsumexp(-1).sum()).backward()
    assert head.project.weight.grad.abs().sum() > 0 and head.classifier[-1].weight.grad.abs().sum() > 0
    assert maps.grad.abs().sum() > 0


def test_a_photo_smaller_than_a_window_has_one_place():
    head = create_head("instance", [6], grid=7, places=4, dim=8, classes=4)
    vectors, chosen = head.describe([torch.randn(1, 6, 2, 3)])
    assert vectors.shape == (1, 8) and chosen.shape == (1, 1, 4)


def test_the_siamese_head_reads_one_size():
    head = create_head("siamese", [6], grid=3, dim=8)
    maps = torch.randn(2, 6, 3, 3)
    torch.testing.assert_close(head([maps]), l2(head.project(l2(maps.flatten(1)))))
    with pytest.raises(RecipeError, match="3 x 3 cells, not 4 x 3"):
        head([torch.randn(1, 6, 3, 4)])


def test_logits_are_the_mean_over_places():
    head = create_head("logits", [6], grid=3, classes=4)
    maps = torch.randn(2, 6, 5, 4)
    torch.testing.assert_close(head([maps]), l2(head.classifier(maps).mean((-2, -1))))
    assert head.dim == 4


def test_without_classes_it_says_what_is_missing():
    head = create_head("instance", [6])
    assert not head.fitted
    with pytest.raises(NotFitted, match="no classes yet"):
        head([torch.randn(1, 6, 7, 7)])
    assert create_head("instance", [6], labels=["a", "b"]).classes == 2
