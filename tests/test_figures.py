"What is drawn for learners: colours, markup, grids, and figures, whose numbers are read back from what matplotlib was given."
import itertools, re
from types import SimpleNamespace
import matplotlib.pyplot as plt, numpy as np, pandas as pd, pytest
from hypothesis import given, strategies as st
from matplotlib.colors import to_hex
from course_utils.config import CourseError
from course_utils.explorers.layer_groups import draw_groups, group_colours
from course_utils.explorers.near_duplicates import near_explorer, side_by_side
from course_utils.explorers.tta import reliability_figure
from course_utils.models import create_model
from course_utils.show import figures, html, palette
from course_utils.show.draw import add_border, fade, figure_to_pixels, grid
from course_utils.show import diagrams
from course_utils.show.diagrams import (exported_file, exported_file_figure, folds_and_groups, folds_figure, frozen_stages,
                                        frozen_stages_figure)
from course_utils.show.figures import curves, curves_alt, curves_figure, dots, dots_figure
from course_utils.techniques.calibration import reliability
from course_utils.techniques.layer_groups import per_stage, three_groups
from course_utils.techniques.copies import altered
from course_utils.techniques.near_duplicates import dhash

HISTORY = pd.DataFrame(dict(
    epoch=[1, 2, 3, 4],
    train_loss=[.9, .6, .3, .1],
    valid_loss=[.8, .5, .55, .7],
    train_accuracy=[.5, .7, .9, 1.],
    valid_accuracy=[.55, .7, .72, .71],
))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close('all')


def points(line): return list(zip(*(values.tolist() for values in line.get_data())))


def line_called(ax, label): return next(line for line in ax.lines if line.get_label() == label)


def plotted(ax, label): return points(line_called(ax, label))


def rows_of(history, column): return list(zip(history.epoch, history[column]))


# ---- curves: the course's main figure ----

@pytest.mark.parametrize('k, quantity', [(0, 'loss'), (1, 'accuracy')])
@pytest.mark.parametrize('part', ['train', 'valid'])
def test_curves_plot_the_history(k, quantity, part):
    ax = curves_figure(HISTORY).axes[k]
    assert plotted(ax, part) == rows_of(HISTORY, f'{part}_{quantity}')


@pytest.mark.parametrize('k, quantity', [(0, 'loss'), (1, 'accuracy')])
def test_curves_name_their_axes(k, quantity):
    ax = curves_figure(HISTORY).axes[k]
    assert ax.get_xlabel() == 'epoch'
    assert ax.get_ylabel() == quantity
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert entries == ['train', 'valid']


def test_curves_mark_the_epoch_with_the_lowest_validation_loss():
    loss_ax, accuracy_ax = curves_figure(HISTORY).axes
    assert [list(line.get_xdata()) for line in loss_ax.lines[2:]] == [[2, 2]]
    assert len(accuracy_ax.lines) == 2


def test_curves_draw_the_majority():
    accuracy_ax = curves_figure(HISTORY, majority=.6).axes[1]
    assert set(line_called(accuracy_ax, 'majority class').get_ydata()) == {.6}


def test_curves_of_the_first_epochs_keep_the_axes_of_all():
    early = curves_figure(HISTORY, n_epochs=2).axes
    whole = curves_figure(HISTORY).axes
    assert plotted(early[0], 'valid') == [(1, .8), (2, .5)]
    assert plotted(early[1], 'train') == [(1, .5), (2, .7)]
    for k in (0, 1):
        assert early[k].get_xlim() == whole[k].get_xlim()
        assert early[k].get_ylim() == whole[k].get_ylim()


def test_curves_show_every_point():
    loss_ax, accuracy_ax = curves_figure(HISTORY).axes
    assert loss_ax.get_ylim() == (0, pytest.approx(.9 * 1.05))
    assert accuracy_ax.get_ylim() == (.4, 1.01)
    low = HISTORY.assign(valid_accuracy=.1)
    assert curves_figure(low).axes[1].get_ylim()[0] == .1


def test_a_loss_that_explodes_is_cut_off():
    high = HISTORY.assign(train_loss=50.)
    assert curves_figure(high).axes[0].get_ylim() == (0, 2)


def test_losses_that_are_all_high_are_shown():
    "Of 120 classes even a good start is above 2."
    high = HISTORY.assign(train_loss=[4.3, 4., 3.8, 3.7], valid_loss=3.9)
    assert curves_figure(high).axes[0].get_ylim() == (0, pytest.approx(4.3 * 1.05))


def test_held_out_curves_take_their_colour_from_one_line(monkeypatch):
    def colours(part): return {line_called(ax, part).get_color() for ax in curves_figure(HISTORY).axes}
    assert colours('train') == {palette.TRAIN_COLOUR}
    assert colours('valid') == {palette.VALID_COLOUR}
    monkeypatch.setattr(figures, 'VALID_COLOUR', '#123456')
    assert colours('valid') == {'#123456'}
    assert colours('train') == {palette.TRAIN_COLOUR}


def test_curves_in_words():
    assert curves_alt(HISTORY) == (
        'Curves over 4 epochs. Training loss goes from 0.90 to 0.10, validation loss is lowest at epoch 2 (0.50) and 0.70 at the end. '
        'Training accuracy ends at 100.0%, validation accuracy at 71.0%.')


@given(st.integers(1, 30), st.integers(0, 100))
def test_words_of_curves_hold_the_history_s_numbers(n, seed):
    rng = np.random.default_rng(seed)
    columns = ['train_loss', 'valid_loss', 'train_accuracy', 'valid_accuracy']
    history = pd.DataFrame(rng.random((n, 4)), columns=columns).assign(epoch=range(1, n + 1))
    words = curves_alt(history)
    best = history.valid_loss.to_numpy().argmin()
    assert words.startswith(f'Curves over {n} epochs.')
    assert f'lowest at epoch {best + 1} ({history.valid_loss[best]:.2f})' in words
    assert words.endswith(f'validation accuracy at {history.valid_accuracy[n - 1]:.1%}.')


def test_curves_say_what_they_draw():
    run = SimpleNamespace(history=HISTORY)
    assert curves(run).alt == curves_alt(HISTORY)
    assert curves(run, n_epochs=2).alt == curves_alt(HISTORY[:2])
    assert not plt.get_fignums(), 'every figure is closed'


# ---- dots ----

TABLE = pd.DataFrame(dict(gain=[.1, -.2], low=[0, -.3], high=[.2, -.1]), index=['costs $5', 'other'])


def test_dots_plot_the_table_first_row_on_top():
    ax = dots_figure(TABLE.rename(columns=dict(gain='mean')), 'gain').axes[0]
    bars = ax.containers[0]
    assert points(bars.lines[0]) == [(-.2, 0), (.1, 1)]
    ends = [segment[:, 0].tolist() for segment in bars.lines[2][0].get_segments()]
    assert ends == [pytest.approx([-.3, -.1]), pytest.approx([0, .2])]
    assert [text.get_text() for text in ax.get_yticklabels()] == ['other', r'costs \$5']
    assert ax.get_xlabel() == 'gain'
    assert ax.get_xscale() == 'linear'


def test_ratios_get_a_logarithmic_axis_with_its_line_at_one():
    table = pd.DataFrame(dict(mean=[2.], low=[1.5], high=[3.]), index=['a'])
    ax = dots_figure(table, 'ratio', even=1).axes[0]
    assert ax.get_xscale() == 'log'
    assert set(ax.lines[-1].get_xdata()) == {1}


@pytest.mark.parametrize('name', ['x' * 70, 'frozen body, BatchNorm moves, 100% against frozen body, BatchNorm still, 100%'])
def test_long_names_leave_the_dots_their_width(name):
    fig = dots_figure(pd.DataFrame(dict(mean=[.1], low=[0.], high=[.2]), index=[name]), 'gain')
    fig.canvas.draw()
    assert fig.axes[0].get_window_extent().width / fig.dpi > 3


def test_a_pair_of_names_takes_two_lines():
    ax = dots_figure(pd.DataFrame(dict(mean=[.1], low=[0.], high=[.2]), index=['a against b']), 'gain').axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ['a\nagainst b']


def test_dots_in_words():
    assert dots(TABLE, 'gain', 'Gains.').alt == 'Gains. costs $5 +0.100 (+0.000 to +0.200); other -0.200 (-0.300 to -0.100).'
    pairs = TABLE.set_axis(pd.MultiIndex.from_tuples([('a', 'b'), ('c', 'd')]))
    assert dots(pairs, 'gain', 'Gains.').alt.startswith('Gains. a against b +0.100')
    ratios = pd.DataFrame(dict(mean=[1.25], low=[1.], high=[1.5]), index=['a'])
    assert dots(ratios, 'ratio', 'Ratios.', even=1).alt == 'Ratios. a 1.25 (1.00 to 1.50).'


# ---- diagrams ----

def test_what_a_frozen_stage_saves():
    fig = frozen_stages_figure(9, 5)
    words = [text.get_text() for text in fig.axes[0].texts]
    assert words.count('head') == 2
    assert words.count('8') == 2
    assert frozen_stages(9, 5).alt.count('the last 4 stages') == 1


@pytest.mark.parametrize('n_frozen', [0, 9])
def test_a_diagram_of_stages_of_which_none_learns(n_frozen):
    with pytest.raises(CourseError, match='choose 1 to 8'): frozen_stages(9, n_frozen)


def test_each_group_is_held_out_once():
    words = [text.get_text() for text in folds_figure(6, 3).axes[0].texts]
    assert words.count('held out') == 6
    assert words.count('trains') == 12
    assert folds_and_groups(6, 3).alt.startswith('3 rows, a training each, of 6 modules')


def test_more_folds_than_groups():
    with pytest.raises(CourseError, match='choose 2 to 3'): folds_and_groups(3, 4)


def test_the_gap_lies_between_the_curves():
    words = {text.get_text() for text in diagrams.gap_figure().axes[0].texts}
    assert {'it learns', 'it memorises', 'the gap'} <= words
    assert 'lowest in the middle' in diagrams.gap_between_curves().alt


def test_every_view_has_the_same_label():
    words = [text.get_text() for text in diagrams.views_figure('broken').axes[0].texts]
    assert words.count('broken') == len(diagrams.VIEWS)
    assert 'the same label, broken' in diagrams.views_of_one_picture('broken').alt


def lines_of_a_view(*view) -> np.ndarray:
    ax = plt.figure().add_subplot()
    diagrams.draw_cracked_cell(ax, 0, *view, 0)
    points = np.concatenate([line.get_xydata() for line in ax.lines])
    plt.close('all')
    return points


def test_a_mirrored_view_is_mirrored(): assert np.allclose(lines_of_a_view(0, True), [1, 0] + lines_of_a_view(0, False) * [-1, 1])


def test_a_turned_view_is_turned():
    x, y = lines_of_a_view(0, False).T
    assert np.allclose(lines_of_a_view(90, False), np.c_[1 - y, x])


@pytest.mark.parametrize('rate', diagrams.RATES_ON_A_VALLEY.values())
def test_the_valley_s_steps_are_those_of_gradient_descent(rate):
    x = -1.
    for place in diagrams.descent(rate, 6):
        assert place == pytest.approx(x)
        x -= rate * 2 * x


def test_each_rate_does_what_its_name_says():
    small, right, large = (abs(diagrams.descent(rate, 8)[-1]) for rate in diagrams.RATES_ON_A_VALLEY.values())
    assert right < .01 < .5 < small < 1 < large


def test_a_valley_in_words(): assert 'with 5 steps of gradient descent' in diagrams.steps_in_a_valley(5).alt


def test_snapshots_lie_in_valleys():
    ground = np.linspace(0, 10, 2001)
    heights = diagrams.landscape(ground)
    lowest = ground[1:-1][(heights[1:-1] < heights[:-2]) & (heights[1:-1] < heights[2:])]
    ends = [line.get_xdata()[0] for line in diagrams.restart_figure().axes[0].lines if line.get_marker() == 's']
    assert ends == pytest.approx(lowest, abs=.05)
    assert 'crosses the ridge' in diagrams.restart_in_a_landscape().alt.replace('to cross', 'crosses')


def test_a_rate_a_group():
    rates = dict(early=1e-5, middle=1e-4, head=1e-3)
    words = [text.get_text() for text in diagrams.groups_figure(rates, 9).axes[0].texts]
    assert words == ['picture', 'early\nrate 1e-05', 'middle\nrate 0.0001', 'head\nrate 0.001']
    assert diagrams.groups_of_stages(rates).alt.endswith('early 1e-05, middle 0.0001, head 0.001.')
    with pytest.raises(CourseError, match='2 groups'): diagrams.groups_of_stages(dict(body=1., head=1.))


def test_what_an_exported_file_holds():
    words = [text.get_text() for text in exported_file_figure(96, 3).axes[0].texts]
    assert 'probabilities\nof 3 classes' in words
    assert any('96×96 pixels' in text for text in words)
    assert 'probabilities of 3 classes' in exported_file(96, 3).alt


def test_a_file_of_one_class_is_none():
    with pytest.raises(CourseError, match='give 2 or more'): exported_file(96, 1)


# ---- pictures ----

def test_a_figure_without_words_is_refused():
    with pytest.raises(CourseError, match='needs alt text'): figures.show(np.zeros((4, 4, 3), np.uint8), '  ')


@pytest.mark.parametrize('make', [plt.figure, plt.Figure])
def test_a_figure_as_pixels(make):
    fig = make(figsize=(2, 1), dpi=50, layout='none')
    fig.add_axes([0, 0, 1, 1]).set(facecolor=palette.BLUE, xticks=[], yticks=[])
    pixels = figure_to_pixels(fig)
    assert pixels.shape == (50, 100, 3)
    assert pixels.dtype == np.uint8
    assert tuple(pixels[25, 50]) == palette.rgb(palette.BLUE)
    assert not plt.get_fignums()


def test_a_grid_holds_its_pictures_in_rows():
    pictures = [np.full((8, 8, 3), 40 * k, np.uint8) for k in range(5)]
    sheet = grid(pictures, 3, cell=8)
    assert sheet.shape == (2 * 12, 3 * 12, 3)
    corners = sheet[::12, ::12, 0]
    assert corners.tolist() == [[0, 40, 80], [120, 160, 255]]


def test_a_title_is_written_under_its_picture_alone():
    white = [np.full((40, 40, 3), 255, np.uint8)] * 2
    sheet = grid(white, 2, ['', 'b'], cell=40)
    assert (sheet[:, :44] == 255).all()
    assert (sheet[:40] == 255).all()
    assert (sheet[40:, 44:] < 255).any()


def test_a_border_covers_the_edge_and_nothing_else():
    picture = np.full((24, 24, 3), 9, np.uint8)
    bordered = add_border(picture, palette.GREEN)
    is_green = (bordered == palette.rgb(palette.GREEN)).all(-1)
    assert is_green.sum() == 24**2 - 20**2
    assert (bordered[2:-2, 2:-2] == 9).all()
    assert (picture == 9).all()


def test_a_faded_picture_is_nearly_white():
    faded = fade(np.array([[[0, 100, 255]]], np.uint8))
    assert faded.tolist() == [[[191, 216, 254]]]


# ---- markup ----

HOSTILE = '<b onclick="x">\'&`'


def test_text_is_escaped_once():
    assert html.element('p', HOSTILE) == '<p>&lt;b onclick=&quot;x&quot;&gt;&#x27;&amp;`</p>'
    assert html.element('p', html.markup(HOSTILE)) == html.element('p', HOSTILE)
    assert html.element('p', html.element('i', 'x')) == '<p><i>x</i></p>'


def test_attributes_are_escaped_and_none_is_left_away():
    made = html.element('img', alt=HOSTILE, class_='a', aria_label=None)
    assert made == '<img alt="&lt;b onclick=&quot;x&quot;&gt;&#x27;&amp;`" class="a">'


def test_what_is_added_to_markup_is_text():
    assert html.element('p', html.element('i', 'x') + '<br>') == '<p>&lt;i&gt;x&lt;/i&gt;&lt;br&gt;</p>'
    assert html.join(['<', html.LINE_BREAK], ' ') == '&lt; <br>'


@pytest.mark.parametrize('text, wanted', [
    ('a `b` c', 'a <code>b</code> c'),
    ('a `b', 'a `b'),
    ('`<` `>` `', '<code>&lt;</code> <code>&gt;</code> `'),
])
def test_code_stands_between_backticks(text, wanted): assert html.in_html(text) == wanted


@pytest.mark.parametrize('level, colour', [('good', palette.GREEN), ('trouble', palette.ORANGE), ('#123456', '#123456')])
def test_a_frame_has_its_level_s_colour(level, colour):
    frame = html.frame(level, HOSTILE)
    assert f'border-left:4px solid {colour};' in frame
    assert frame.startswith('<div role="status" class="course-card" style=')
    assert frame.endswith(f'>{html.markup(HOSTILE)}</div>')


def test_a_table_names_its_rows_and_columns():
    table = html.table(['', 'n'], [['a<', 1], ['b', html.cell(2, style='color:red')]], 'Counts')
    assert '<caption style="text-align:left">Counts</caption>' in table
    assert '<th scope="col" style="text-align:left">n</th>' in table
    assert '<th scope="row" style="text-align:left">a&lt;</th><td style="text-align:left">1</td>' in table
    assert '<td style="color:red">2</td>' in table
    assert '<thead>' not in html.table([], [['a']], 'Counts')


# ---- lesson 05: groups ----

@pytest.fixture(scope='module')
def model(): return create_model('resnet10t', 2, pretrained=False)


def n_numbers(params): return sum(p.numel() for p in params)


def test_groups_are_bars_of_all_parameters(model):
    ax = plt.figure().add_subplot()
    draw_groups(model, three_groups, ax)
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == [n_numbers(params) for params in per_stage(model)]
    assert sum(heights) == n_numbers(model.parameters())
    assert ax.get_yscale() == 'log'
    assert ax.get_title() == 'resnet10t'


def test_groups_have_a_colour_and_a_name_each(model):
    ax = plt.figure().add_subplot()
    draw_groups(model, three_groups, ax)
    shown = [to_hex(bar.get_facecolor()) for bar in ax.patches]
    early, middle, head = [to_hex(np.array(colour) / 255) for colour in group_colours(3)]
    n_body = len(per_stage(model)) - 1
    n_early = -(-n_body // 2)
    assert shown == [early] * n_early + [middle] * (n_body - n_early) + [head]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ['early', 'middle', 'head']


def test_stages_are_named_by_their_first_module(model):
    ax = plt.figure().add_subplot()
    draw_groups(model, per_stage, ax)
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert len(labels) == len(per_stage(model))
    assert labels[-1] == 'fc'
    modules = dict(model.named_modules())
    for label in labels: assert label in modules


# ---- lesson 06: reliability ----

@pytest.fixture(scope='module')
def answers():
    rng = np.random.default_rng(0)
    return rng.dirichlet([1, 1, 1], 200), rng.integers(0, 3, 200)


def test_bubbles_lie_where_the_table_says(answers):
    ax = reliability_figure({'a': answers}, bins=10).axes[0]
    table = reliability(*answers, 10)
    _, bubbles = ax.collections
    assert np.allclose(bubbles.get_offsets(), table[['confidence', 'accuracy']])
    assert np.allclose(bubbles.get_sizes(), 8 + 500 * table.n / 200)


def test_gaps_go_from_confidence_to_accuracy(answers):
    ax = reliability_figure({'a': answers}, bins=10).axes[0]
    table = reliability(*answers, 10)
    gaps, _ = ax.collections
    ends = [segment[:, 1] for segment in gaps.get_segments()]
    assert np.allclose(ends, table[['confidence', 'accuracy']])
    assert to_hex(gaps.get_color()[0]) == palette.ORANGE.lower()


def test_each_network_has_its_diagram(answers):
    fig = reliability_figure({'before': answers, 'after': answers})
    assert [ax.get_title() for ax in fig.axes] == ['before', 'after']
    assert fig.axes[0].get_ylabel() == 'share that is right'
    for ax in fig.axes: assert points(ax.lines[0]) == [(1/3, 1/3), (1, 1)], 'the diagonal begins where guessing does'


# ---- lesson 12: near-duplicates ----

@pytest.fixture(scope='module')
def photos():
    "Coarse noise: twelve pictures with nothing in common, and a near-copy of the first."
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (12, 8, 8, 3), dtype=np.uint8)
    x = small.repeat(8, axis=1).repeat(8, axis=2)
    nearly_first = x[:1] // 2 + 60
    return np.concatenate([x, nearly_first])


def shares(sentence):
    "Share of copies found, and pairs that nobody made."
    found = re.search(r': (\d+)% of the copies we made are found, and ([\d,]+) pairs? that nobody made', sentence)
    return int(found[1]) / 100, int(found[2].replace(',', ''))


KINDS = 'encoded again', 'brighter'


@pytest.mark.parametrize('bits', [0, 10, 26, 96])
def test_the_explorer_counts_copies_and_other_pairs(photos, bits):
    e = near_explorer(photos, KINDS)
    share, n_pairs = shares(e.draw_at(bits=bits)[1])
    hashes = dhash(photos)
    n_found = 0
    for picture, own_hash in zip(photos, hashes):
        copies = dhash(np.array([altered(picture)[kind] for kind in KINDS]))
        n_found += ((copies != own_hash).sum(1) <= bits).sum()
    assert share == pytest.approx(n_found / (len(KINDS) * len(photos)), abs=.005)
    differing = [(a != b).sum() for a, b in itertools.combinations(hashes, 2)]
    assert n_pairs == sum(n <= bits for n in differing)


def test_more_bits_never_find_less(photos):
    e = near_explorer(photos, KINDS)
    found = [shares(e.draw_at(bits=bits)[1]) for bits in range(0, 97, 2)]
    assert found == sorted(found)
    assert found[0][0] < found[-1][0]


def test_the_furthest_pairs_are_shown(photos):
    "The one pair that nobody made stands in the sixth column, both of its pictures above one another."
    e = near_explorer(photos, KINDS)
    picture, sentence = e.draw_at(bits=26)
    assert shares(sentence)[1] == 1
    column = 5 * 72
    upper = picture[:68, column:column + 68]
    lower = picture[90:158, column:column + 68]
    assert (upper == grid(photos[:1], 1, cell=68)[:68, :68]).all()
    assert (lower == grid(photos[-1:], 1, cell=68)[:68, :68]).all()
    assert (picture[:68, column + 72:] == 255).all(), 'there is no second pair'


def test_every_position_has_one_size(photos):
    e = near_explorer(photos, KINDS)
    assert len({e.draw_at(bits=bits)[0].shape for bits in (0, 26, 96)}) == 1


def test_pairs_stand_above_one_another(photos):
    pairs = pd.DataFrame(dict(a=[0, 1, 2], b=[12, 3, 4], distance=[2, 7, 9]))
    sheet = side_by_side(SimpleNamespace(x=photos), pairs, 2)
    wanted = grid(photos[[0, 1, 12, 3]], 2, cell=104)
    assert (sheet[:104] == wanted[:104]).all()
    assert (sheet[126:230] == wanted[108:212]).all()
    assert (sheet[104:122, :108] < 255).any(), 'the distance is written between them'
