"What lesson 13 says of the measurement: a sentence for each outcome, nothing where nothing was measured, whole folds where some are missing."
import json

import matplotlib.pyplot as plt, numpy as np, pytest
from matplotlib.patches import Rectangle

from course_utils.data.pictures import load_pictures
from course_utils.explorers.newer_techniques import changes_explorer, mixed_pictures, mixing_explorer
from course_utils.report import newer_results as N
from course_utils.report.headlines import headline_of
from course_utils.show import idea_diagrams as I
from course_utils.techniques.newer_techniques import newer_recipes
from course_utils.techniques.trivial_augment import OPERATIONS

N_PICTURES = 200  # a fold


def rows(arms, folds=range(4)) -> str:
    "What `make measure ONLY=newer` writes: arm → (share right, loss); the same pictures are hard for all."
    runs = {}
    for arm, (share, loss) in arms.items():
        for fold in folds:
            n_right = round(N_PICTURES * share)
            right = '1' * n_right + '0' * (N_PICTURES - n_right)
            losses = [loss + .001 * (k % 3) for k in range(N_PICTURES)]
            settings = dict(arm=arm, seed=fold, fold=fold)
            runs[f'{arm}, fold {fold}'] = dict(settings=settings, right=right, loss=losses, seconds=60.)
    return json.dumps(dict(runs=runs))


BASE = (.8, .5)
BETTER, WORSE, ALIKE = (.9, .3), (.7, .9), (.8, .5)
TRADE = (.9, .9)  # more right, and less sure


def tables(tmp_path, **arms_by_file) -> dict:
    for name, arms in arms_by_file.items(): (tmp_path/f'{name}.json').write_text(rows({'recipe': BASE} | arms))
    return {data: N.newer_gains(found) for data, found in N.newer_measured(tmp_path).items()}


@pytest.mark.parametrize('numbers, kind', [(BETTER, 'helps'), (WORSE, 'hurts'), (TRADE, 'mixed'), (ALIKE, 'not clear'),
                                           ((.8, .3), 'helps'), ((.8, .9), 'hurts'), ((.9, .5), 'helps')])
def test_a_kind_for_each_outcome(tmp_path, numbers, kind):
    [table] = tables(tmp_path, newer={'+ mixup': numbers}).values()
    assert table.kind['+ mixup'] == kind


def test_one_clause_names_each_kind_that_there_is(tmp_path):
    (tmp_path/'newer.json').write_text(rows({'recipe': BASE, '+ mixup': BETTER, '+ CutMix': WORSE, '+ label smoothing': TRADE}))
    assert N.newer_in_words(N.measured_newer(folder=tmp_path)) == (
        'by folds, the recipe 80.0%; better than the recipe: mixup (accuracy +10.0%, loss -0.200); worse: CutMix (accuracy -10.0%, loss +0.400); '
        'better in one of accuracy and loss, worse in the other: label smoothing (accuracy +10.0%, loss +0.400)')


def test_three_together_are_one_name(tmp_path):
    [table] = tables(tmp_path, newer={'+ mixup, TrivialAugment, averaged weights': BETTER}).values()
    assert N.names_of_kind(table, 'helps') == ['mixup with TrivialAugment and averaged weights']


def test_the_best_is_said_with_both_differences(tmp_path):
    [table] = tables(tmp_path, newer={'+ mixup': BETTER, '+ CutMix': WORSE}).values()
    assert N.best_in_words(table).startswith('The lowest loss has mixup: loss -0.200 (')
    assert 'accuracy +10.0% (' in N.best_in_words(table)


def test_the_best_of_several_says_that_it_was_chosen(tmp_path):
    [two] = tables(tmp_path, newer={'+ mixup': BETTER, '+ CutMix': WORSE}).values()
    assert N.best_in_words(two).endswith(
        '; it was chosen as the lowest loss of 2 on these same pictures, so its numbers look a little too good')
    [one] = tables(tmp_path, newer={'+ mixup': BETTER}).values()
    assert 'chosen' not in N.best_in_words(one)


@pytest.mark.parametrize('solar, cats, words', [
    (BETTER, BETTER, 'Put into the recipe what added on solar cells and on cats and dogs: mixup.'),
    (BETTER, ALIKE, 'added on one data set alone: mixup (on solar cells)'),
    (WORSE, BETTER, 'added on one data set alone: mixup (on cats and dogs)'),
    (ALIKE, WORSE, 'Leave the recipe as it is'),
])
def test_advice_for_each_outcome(tmp_path, solar, cats, words):
    assert words in N.newer_advice(tables(tmp_path, newer={'+ mixup': solar}, newer_cats_dogs={'+ mixup': cats}))


def test_advice_of_one_data_set(tmp_path):
    assert 'what added on solar cells: mixup' in N.newer_advice(tables(tmp_path, newer={'+ mixup': BETTER}))


# ---- not measured, or not to the end ----

def test_nothing_measured_says_nothing(tmp_path):
    assert N.newer_measured(tmp_path) == {}
    assert N.newer_in_words({}) == N.newer_advice({}) == ''


def test_the_recipe_alone_is_no_comparison(tmp_path):
    (tmp_path/'newer.json').write_text(rows({'recipe': BASE}))
    assert N.newer_measured(tmp_path) == {}


def test_whole_folds_count_where_a_measurement_is_under_way(tmp_path):
    first = json.loads(rows({'recipe': BASE, '+ mixup': BETTER}, folds=range(2)))
    more = json.loads(rows({'recipe': BASE}, folds=[2]))
    (tmp_path/'newer.json').write_text(json.dumps(dict(runs=first['runs'] | more['runs'])))
    found = N.measured_newer(folder=tmp_path)
    assert found['recipe'].n_trainings == 2
    assert N.newer_gains(found).kind['+ mixup'] == 'helps'


def test_an_arm_without_a_fold_leaves_nothing_to_compare(tmp_path):
    runs = json.loads(rows({'recipe': BASE}, folds=[0]))['runs'] | json.loads(rows({'+ mixup': BETTER}, folds=[1]))['runs']
    (tmp_path/'newer.json').write_text(json.dumps(dict(runs=runs)))
    assert N.newer_measured(tmp_path) == {}


def test_one_fold_alone_is_compared(tmp_path):
    (tmp_path/'newer.json').write_text(rows({'recipe': BASE, '+ mixup': BETTER}, folds=[0]))
    assert N.newer_gains(N.measured_newer(folder=tmp_path)).kind['+ mixup'] == 'helps'


def test_seeds_on_one_split_are_no_folds(tmp_path):
    text = rows({'recipe': BASE, '+ mixup': BETTER}, folds=[None]).replace('"seed": null', '"seed": 0')
    (tmp_path/'newer.json').write_text(text)
    assert N.newer_measured(tmp_path) == {}


def test_the_headline_is_the_measurement_once_there_is_one(tmp_path):
    (tmp_path/'lesson_13.json').write_text('{"headline": "one seed"}')
    assert headline_of('13', tmp_path) == 'one seed'
    (tmp_path/'newer.json').write_text(rows({'recipe': BASE, '+ mixup': BETTER}))
    assert headline_of('13', tmp_path) == 'Solar cells, by folds, the recipe 80.0%; better than the recipe: mixup (accuracy +10.0%, loss -0.200)'


def test_every_arm_of_the_measurement_has_a_name():
    names = list(newer_recipes())
    assert names[0] == N.BASE
    assert all(name.startswith('+ ') for name in names[1:])


# ---- sliders and diagram ----

@pytest.fixture(scope='module')
def pics(): return load_pictures('solar', size=32, limit=60)


def test_at_the_ends_there_is_one_picture(pics):
    first, second = np.asarray(pics.x[0]), np.asarray(pics.x[1])
    for share, image in ((1, first), (0, second)):
        mixed, pasted, left = mixed_pictures(first, second, share)
        np.testing.assert_array_equal(mixed, image)
        np.testing.assert_array_equal(pasted, image)
        assert left == share


def test_the_slider_says_both_labels(pics):
    explorer = mixing_explorer(pics)
    picture, words = explorer.draw(.7)
    assert picture.dtype == np.uint8
    assert f'Label by mixup: {pics.classes[0]} 0.70, {pics.classes[-1]} 0.30.' in words
    assert 'Label by CutMix' in words
    assert not np.array_equal(picture, explorer.draw(.2)[0])


def test_every_operation_is_shown(pics):
    explorer = changes_explorer(np.asarray(pics.x[0]))
    picture, words = explorer.draw(.5)
    assert f'one of the {len(OPERATIONS)}' in words
    assert all(name in explorer.alt for name in OPERATIONS)


def test_the_diagram_names_what_it_draws():
    fig = I.step_of_training_figure()
    texts = [text.get_text() for text in fig.axes[0].texts]
    for names in I.STEP_PARTS.values(): assert set(names) <= set(texts)
    assert len([patch for patch in fig.axes[0].patches if type(patch) is Rectangle]) == 4
    plt.close(fig)
    alt = I.step_of_training().alt
    assert all(name in alt for names in I.STEP_PARTS.values() for name in names)


def test_the_widest_interval_is_shown_fold_by_fold(tmp_path):
    (tmp_path/'newer.json').write_text(rows({'recipe': BASE, '+ mixup': BETTER, '+ CutMix': ALIKE}))
    file = json.loads((tmp_path/'newer.json').read_text())
    file['runs']['+ CutMix, fold 2']['right'] = '1' * 60 + '0' * 140  # this fold went wrong
    (tmp_path/'newer.json').write_text(json.dumps(file))
    assert N.widest_in_words(N.measured_newer(folder=tmp_path)) == (
        'The widest interval has CutMix: 80.0%, 80.0%, 30.0%, 80.0% right, fold by fold; the recipe 80.0%, 80.0%, 80.0%, 80.0%.')
    (tmp_path/'newer.json').write_text(rows({'recipe': BASE, '+ mixup': BETTER}, folds=[0]))
    assert N.widest_in_words(N.measured_newer(folder=tmp_path)) == ''
