"The diagrams of lessons 06, 07, 08 and 11: what they draw is what they were given, and their alt text says it."
import matplotlib.pyplot as plt, numpy as np, pytest, torch
from matplotlib.patches import Rectangle

from course_utils.config import CourseError
from course_utils.models import create_model
from course_utils.show import idea_diagrams as I
from course_utils.techniques.gradcam import candidate_layers, gradcam, maps_and_gradients
from course_utils.techniques.tta import Turn, symmetric_views


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close('all')


def blocks(fig): return [patch for patch in fig.axes[0].patches if type(patch) is Rectangle]


def texts(fig): return [text.get_text() for text in fig.axes[0].texts]


def test_every_view_of_the_glyph_is_another_picture():
    pictures = {view(I.glyph_pixels()).tobytes() for view in symmetric_views()}
    assert len(pictures) == 8


def test_bars_are_as_long_as_the_answers_and_the_line_is_their_mean():
    fig = I.averaged_views_figure(symmetric_views(quarters=False), [.2, .4, .9, .5])
    bars = [block.get_width() / 2.4 for block in blocks(fig) if block.get_height() == .38]
    assert bars == pytest.approx([.2, .4, .9, .5])
    [line] = fig.axes[0].lines
    assert (line.get_xdata()[0] - 4.3) / 2.4 == pytest.approx(.5)
    assert 'mean 0.50' in texts(fig)


def test_averaged_views_say_each_answer():
    alt = I.averaged_views([Turn(), Turn(mirror=True)], [.25, .75]).alt
    assert 'plain 0.25, mirror 0.75' in alt
    assert 'mean, 0.50' in alt


@pytest.mark.parametrize('n_views, n_probs', [(1, 1), (2, 3)])
def test_no_average_of_what_does_not_fit(n_views, n_probs):
    with pytest.raises(CourseError, match='make no average'): I.averaged_views([Turn()] * n_views, [.5] * n_probs)


def test_the_drawn_map_is_grad_cam():
    torch.manual_seed(0)
    model = create_model('resnet10t', 2, pretrained=False)
    layer = list(candidate_layers(model, 64))[-1]
    x = torch.randn(1, 3, 64, 64)
    maps, gradients = maps_and_gradients(model.eval(), x, 1, layer)
    ours = I.weighted_sum(maps[0].cpu().numpy(), gradients[0].mean((1, 2)).cpu().numpy())
    assert np.allclose(ours, gradcam(model, x, 1, layer)[0], atol=1e-6)


def test_the_strongest_channels_are_drawn_with_their_weights():
    maps = np.ones((5, 2, 2)) * np.array([1, 5, 1, 1, 1])[:, None, None]
    weights = np.array([.1, -.5, 1., .2, .05])
    fig = I.weighted_maps_figure(maps, weights, 2)
    assert {'channel 1', '× -0.5', 'channel 2', '× +1', '3\nmore'} <= set(texts(fig))
    assert '-0.5, +1' in I.weighted_maps(maps, weights, 2).alt


def test_maps_without_their_weights():
    with pytest.raises(CourseError, match='do not fit'): I.weighted_maps(np.ones((3, 2, 2)), np.ones(2))


def test_networks_are_as_deep_wide_and_tall_as_they_say():
    fig = I.scaled_networks_figure(2, 1.5, 1.25)
    drawn = blocks(fig)
    assert len(drawn) == 4 + 8 + 4 + 4
    base, wider, larger = drawn[0], drawn[12], drawn[16]
    assert wider.get_width() == pytest.approx(1.5 * base.get_width())
    assert larger.get_height() == pytest.approx(1.25 * base.get_height())
    assert 'work × 1.5² = 2.25' in texts(fig)
    assert '1.56 times the work' in I.scaled_networks(2, 1.5, 1.25).alt


@pytest.mark.parametrize('factor', [1, .5, float('nan')])
def test_a_network_that_does_not_grow(factor):
    with pytest.raises(CourseError, match='above 1'): I.scaled_networks(width=factor)


def test_the_winner_is_marked_on_both_sides():
    chosen_by, judged_by = np.array([.7, .9, .8]), np.array([.75, .78, .8])
    fig = I.chosen_and_judged_figure(chosen_by, judged_by, 80, 600)
    lines = {line.get_label(): line.get_ydata().tolist() for line in fig.axes[0].lines}
    assert lines['the winner'] == [.9, .78]
    assert lines['mean of all trials'] == pytest.approx([.8, judged_by.mean()])
    alt = I.chosen_and_judged(chosen_by, judged_by, 80, 600).alt
    assert 'has 90.0% on the left' in alt
    assert '80 pictures of the choice' in alt


@pytest.mark.parametrize('chosen_by, judged_by', [([.5], [.5]), ([.5, .6], [.5])])
def test_no_choice(chosen_by, judged_by):
    with pytest.raises(CourseError, match='make no choice'): I.chosen_and_judged(chosen_by, judged_by, 8, 8)
