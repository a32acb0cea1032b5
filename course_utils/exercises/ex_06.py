"""Test-time augmentation: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import exercise, number, numbers
from course_utils.classroom.guesses import quantity

import copy, numpy as np, torch
from scipy.stats import binomtest
from torch import nn

from course_utils.techniques.tta import average, symmetric_views

quantity('06', 'gain', 'accuracy of eight views, minus that of the plain picture', widest=(-.5, .5), example=(-.01, .03), shown='{:+.1%}',
         # its interval is over pictures only, and rounding alone moves the training: −14.5 % and −30.5 % with the same seed
         expected=lambda r: ((g := r['gains']['trained without, 8 flips and turns']['gain']), g - .2, g + .2))
quantity('06', 'sideways', 'accuracy of eight views where a turn changes the label', widest=(0, 1), example=(.8, 1), shown='{:.1%}',
         expected=lambda r: (r['sideways']['all eight views']['accuracy'], *r['sideways_interval']))
quantity('06', 'seconds', 'seconds of the main training', widest=(1, 10000), log=True, shown='{:.0f}',
         expected=lambda r: (s := r['seconds'], s / 3, 3 * s))

@exercise('06-1', 'The same weight for every view', '''
    fastai's `tta(n=7)` makes seven random passes and a plain one, and gives the plain one the weight `beta=0.25`. Which `beta` makes that the plain mean of all eight? Put it into `fair`. Change it, and watch `np.abs(average(logits, beta=fair) - average(logits)).max()`.''',
    start='''
    fair = None  # a number from 0 to 1''',
    answer='fair',
    hints=['In a plain mean every view has the same weight. How many views are there?',
           'The plain view is one of eight, and the seven others share what is left.',
           '`1 / 8`'],
    solution='fair = 1 / 8',
    wrong={'fair = .25': 'as much as two views',
           'fair = 1 / 7': 'seven of them are random',
           'fair = 7 / 8': 'weight of the plain view',
           'fair = 12.5': 'is no weight',
           'fair = .5': 'The answers differ'})
def check_06_1(answer, rng):
    beta = number(answer, 'The weight')
    if not 0 <= beta <= 1: return f'{beta:g} is no weight: that runs from 0 to 1, and 0.1 is a tenth.'
    if np.isclose(beta, .25): return 'With 0.25, which is what fastai takes, the plain view counts as much as two views of a plain mean.'
    if np.isclose(beta, 1 / 7): return 'There are eight views: seven of them are random, and the plain one is there, too.'
    if np.isclose(beta, 7 / 8): return '7/8 is what the others share. `beta` is the weight of the plain view.'
    logits = rng.normal(size=(8, 50, 3)) * 2
    off = np.abs(average(logits, beta=beta) - average(logits)).max()
    if off > 1e-6: return f'The answers differ from the plain mean of eight by up to {off:.3f}, for 50 random pictures.'

@exercise('06-2', 'When is it more than chance?', '''
    TTA puts some pictures right and spoils none. Write `least(level)`: how many pictures must that be at least, so that McNemar's two-sided p lies below `level`? If TTA did nothing, each changed picture would go either way like a coin.''',
    start='''
    def least(level):
        ...''',
    answer='least',
    hints=['With n changed pictures, how likely is it that all of them go the same way?',
           'All heads: 0.5 ** n. All tails: the same. The two together are p.',
           'Count up n from 1 until `2 * .5 ** n < level`.'],
    solution='''
    def least(level):
        n = 1
        while 2 * .5 ** n >= level: n += 1
        return n''',
    wrong={'''
    def least(level):
        n = 1
        while .5 ** n >= level: n += 1
        return n''': 'either way',
           '''
    def least(level):
        n = 1
        while 2 * .5 ** n >= level: n += 1
        return n + 1''': 'fewer are enough',
           '''
    def least(level):
        return 1 / level''': 'whole number',
           '''
    def least(level):
        n = 1
        while 2 * .5 ** (n + 2) >= level: n += 1
        return n''': 'is not below'})
def check_06_2(answer, rng):
    level = float(10 ** rng.uniform(-4, -1.2))
    got, p = number(answer(level), 'The number of pictures'), lambda n: binomtest(n, n).pvalue
    if got != int(got) or got < 1: return f'For the level {level:.3g} you give {got:.3g}. A number of pictures is a whole number, 1 at least.'
    n = int(min(got, 1000))
    if p(n) / 2 < level <= p(n): return f'For the level {level:.3g} you give {n}. The test is two-sided: {n} pictures could all go either way, all right or all wrong, and p is {p(n):.3g}.'
    if p(n) >= level: return f'For the level {level:.3g} you give {n}. Their p is {p(n):.3g}, which is not below the level.'
    if n > 1 and p(n - 1) < level: return f'For the level {level:.3g} you give {n}, and fewer are enough: {n - 1} have a p of {p(n - 1):.3g}.'

@exercise('06-3', 'A third question: mirrored or not?', '''
    Half of the pictures are mirrored, and the label says which. Which of the eight views keep **that** label? Put all of them into the list `keeping`, taken from `symmetric_views()`. A picture that is mirrored and turned may look like one that was mirrored the other way.''',
    start='''
    keeping = None  # a list of views, such as [views[0]]''',
    answer='keeping',
    hints=['Write an R on paper and turn the sheet. Then look at it from behind.',
           'A turn never makes a mirrored R out of a plain one. Every mirroring does, whatever turn comes after it.',
           '`[v for v in symmetric_views() if not v.mirror]`'],
    before='from course_utils.tta import Turn, symmetric_views\nviews = symmetric_views()',
    solution='''
    keeping = [v for v in symmetric_views() if not v.mirror]''',
    wrong={'keeping = symmetric_views()[::2]': 'mirrors',
           'keeping = symmetric_views(quarters=False)': 'mirrors',
           'keeping = symmetric_views()': 'mirrors',
           'keeping = symmetric_views()[:4:2]': 'is not in your list',
           'keeping = symmetric_views()[:4] * 2': 'twice',
           "keeping = ['plain', '90']": 'functions'})
def check_06_3(answer, rng):
    if not isinstance(answer, (list, tuple)) or not all(map(callable, answer)): return 'Give a list of views: functions, as `symmetric_views()` gives them.'
    x = rng.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    every = {str(v): v(x) for v in symmetric_views()}
    kept = [name for name in every if 'mirror' not in name]
    names = [next((n for n, t in every.items() if np.array_equal(t, v(x))), None) for v in answer]
    wrong = [str(v) for v, n in zip(answer, names) if n not in kept]
    if wrong: return f"'{wrong[0]}' mirrors a picture, or changes it otherwise, so a plain one would get the label of a mirrored one. {len(wrong)} of your {len(names)} views do."
    if len(set(names)) < len(names): return f"{len(names)} views, and some are there twice: {', '.join(names)}."
    missing = [n for n in kept if n not in names]
    if missing: return f"'{missing[0]}' keeps the label and is not in your list of {len(names)}."

@exercise('06-4', 'TTA in your own lines', '''
    Write `averaged(model, x, views)`: `x` is a batch of pictures `(B, 3, H, W)`, ready for the network; each view takes such a batch and gives one; `model` gives logits `(B, C)`. The result is the mean over the views of the **probabilities**, `(B, C)`. The network may come in train mode, and a picture's answer must not hang on chance or on its neighbours.''',
    start='''
    def averaged(model, x, views):
        ...''',
    answer='averaged',
    hints=['Four things: the right mode, a network pass a view, probabilities out of logits, a mean.',
           'Dropout and BatchNorm mind the mode: `model.eval()`. Probabilities: `.softmax(1)`, before the mean. No gradient is needed: `with torch.no_grad():`.',
           '`torch.stack([model(view(x)).softmax(1) for view in views]).mean(0)`, after `model.eval()`.'],
    before='import torch',
    solution='''
    def averaged(model, x, views):
        model.eval()
        with torch.no_grad():
            return torch.stack([model(view(x)).softmax(1) for view in views]).mean(0)''',
    wrong={'''
    def averaged(model, x, views):
        with torch.no_grad():
            return torch.stack([model(view(x)).softmax(1) for view in views]).mean(0)''': 'train mode',
           '''
    def averaged(model, x, views):
        model.eval()
        return torch.stack([model(view(x)) for view in views]).mean(0).softmax(1)''': 'mean of the logits',
           '''
    def averaged(model, x, views):
        model.eval()
        return sum(model(view(x)).softmax(1) for view in views)''': 'sum to',
           '''
    def averaged(model, x, views):
        model.eval()
        return torch.stack([model(view(x)) for view in views]).mean(0)''': 'sum to',
           '''
    def averaged(model, x, views):
        model.eval()
        return model(x).softmax(1)''': 'plain batch alone',
           '''
    def averaged(model, x, views):
        model.eval()
        for view in views: p = model(view(x)).softmax(1)
        return p''': 'should be'})
def check_06_4(answer, rng):
    torch.manual_seed(int(rng.integers(1e6)))
    classes, b = int(rng.integers(2, 5)), int(rng.integers(5, 9))
    model = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Dropout(.3), nn.Linear(54, classes)).train()
    nn.init.normal_(model[-1].weight, std=1.)
    x, views = torch.randn(b, 3, 8, 8), [lambda x: x, lambda x: x.flip(3), lambda x: x.flip(2), lambda x: x.rot90(1, (2, 3))]
    with torch.no_grad(): each = torch.stack([copy.deepcopy(model).eval()(view(x)) for view in views]).double().numpy()
    state = torch.get_rng_state()
    got = numbers(answer(model, x, views), (b, classes), 'The result')
    want, apart = average(each), lambda p: np.abs(got - p).max()
    if not np.allclose(got.sum(1), 1, atol=1e-4): return f'The numbers of the first picture sum to {got[0].sum():.3f}. Probabilities sum to 1, and so does their mean.'
    if apart(average(each, 'logits')) < 1e-5: return 'That is the mean of the logits, made into probabilities. Asked for is the mean of the probabilities: first softmax, then the mean.'
    if apart(average(each[:1])) < 1e-5: return f'That is the answer for the plain batch alone, and there are {len(views)} views.'
    if apart(want) > 1e-4 and not torch.equal(torch.get_rng_state(), state): return f'Your answers are off by up to {apart(want):.3f}, and something was drawn at random: Dropout works in train mode. BatchNorm, too, minds the neighbours there.'
    if apart(want) > 1e-4: return f'For the first picture you give {got[0].round(3).tolist()}, and it should be {want[0].round(3).tolist()}.'
