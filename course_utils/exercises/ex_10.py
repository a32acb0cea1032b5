"""When the data are the trouble: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import brief, exercise, number, numbers
from course_utils.classroom.guesses import quantity

import numpy as np

from course_utils.techniques.imbalance import adjust, rates

quantity('10', 'gain', 'balanced accuracy with weights, minus that without', widest=(-.3, .5), example=(.05, .2), shown='{:+.1%}',
         expected=lambda r: [r['gains']['weights'][k] for k in ('mean', 'low', 'high')])
quantity('10', 'elsewhere', 'accuracy on the kind that was not trained on, in the worse case', widest=(0, 1), example=(.6, .8), shown='{:.1%}',
         expected=lambda r: [min((s for s in r['shift'] if s['trained_on'] not in ('half and half', s['tested_on'])), key=lambda s: s['accuracy'])[k]
                             for k in ('accuracy', 'low', 'high')])

@exercise('10-1', 'How many alarms are right?', '''
    A class is 2 % of production. A network finds 80 % of it, and raises a false alarm on 5 % of the rest. Which share of all alarms is right? Guess first. Then put the number, from 0 to 1, into `right_alarms`.''',
    start='''
    right_alarms = None  # right alarms / all alarms''',
    answer='right_alarms',
    hints=['Think of 1,000 pictures. How many are of the class, and how many of the others raise an alarm?',
           '20 are of the class and 16 of them are found. 980 are not, and 5 % of those raise an alarm.',
           '`.02 * .8 / (.02 * .8 + .98 * .05)`'],
    solution='right_alarms = .02 * .8 / (.02 * .8 + .98 * .05)',
    wrong={'right_alarms = .8': 'recall',
           'right_alarms = .8 / (.8 + .05)': 'as frequent as the rest',
           'right_alarms = .02 * .8 / (.02 * .8 + .05)': 'only on the rest',
           'right_alarms = .02 * .8': 'share of all pictures',
           'right_alarms = 24.6': 'a share',
           'right_alarms = .5': 'Of 100,000 pictures'})
def check_10_1(answer, rng):
    got = number(answer, 'The share')
    share, recall, alarm = .02, .8, .05
    found, false = share * recall, (1 - share) * alarm
    near = lambda v: abs(got - v) < .002
    if not 0 <= got <= 1: return f'{got:g} is not from 0 to 1, and a share is: 7 of 100 are 0.07.'
    if near(recall): return f'{got:.2f} is the recall: the share of the class that is found. Asked for is the share of the alarms that are right.'
    if near(recall / (recall + alarm)): return f'{got:.2f} would be right if the class were as frequent as the rest.'
    if near(found): return f'{got:.3f} is the share of all pictures that are a right alarm. Divide it by the share that is an alarm at all.'
    if np.isclose(got, found / (found + alarm), atol=5e-4): return f'{got:.4f} is near: but false alarms are raised only on the rest, which is {1 - share:.0%} of all.'
    if not np.isclose(got, found / (found + false), atol=5e-4): return f'You give {got:.4f}. Of 100,000 pictures {1e5 * found:,.0f} are a right alarm and {1e5 * false:,.0f} a false one.'

@exercise('10-2', 'Recall and precision', '''
    Write `recall_precision(said, y, rare)`: two arrays, the class named and the true class of each picture, and the class in question. The result is `(recall, precision)`. Where there is nothing to divide by, the number is `float('nan')`: whoever names the class never has no precision.''',
    start='''
    def recall_precision(said, y, rare):
        ...''',
    answer='recall_precision',
    hints=['Both count the same thing above the line: pictures of the class that are named so. Below it they differ.',
           'Recall divides by the pictures that are there, `(y == rare).sum()`. Precision divides by those that are named.',
           "`found = ((said == rare) & (y == rare)).sum()`; then `found / n if n else float('nan')` for both n."],
    solution='''
    def recall_precision(said, y, rare):
        found = ((said == rare) & (y == rare)).sum()
        share = lambda n: found / n if n else float('nan')
        return share((y == rare).sum()), share((said == rare).sum())''',
    wrong={'''
    def recall_precision(said, y, rare):
        found = ((said == rare) & (y == rare)).sum()
        share = lambda n: found / n if n else float('nan')
        return share((said == rare).sum()), share((y == rare).sum())''': 'the other way round',
           '''
    def recall_precision(said, y, rare):
        found = ((said == rare) & (y == rare)).sum()
        return found / (y == rare).sum(), found / max(1, (said == rare).sum())''': 'never named',
           '''
    def recall_precision(said, y, rare):
        found = int(((said == rare) & (y == rare)).sum())
        return found / int((y == rare).sum()), found / int((said == rare).sum())''': 'ZeroDivisionError',
           '''
    def recall_precision(said, y, rare):
        share = lambda of: (said == y)[of].mean() if of.any() else float('nan')
        return (said == y).mean(), share(said == rare)''': 'The recall',
           '''
    def recall_precision(said, y, rare):
        share = lambda of: (said == y)[of].mean() if of.any() else float('nan')
        return share(y == rare), (said == y).mean()''': 'The precision',
           '''
    def recall_precision(said, y, rare):
        found, named = ((said == rare) & (y == rare)).sum(), (said == rare).sum()
        return found / max(1, (y == rare).sum()), found / named if named else float('nan')''': 'no picture is of class'})
def check_10_2(answer, rng):
    n, rare = int(rng.integers(60, 200)), int(rng.integers(0, 3))
    chances = np.where(np.arange(3) == rare, .2, .4)
    while True:  # until no two of recall, precision and accuracy are the same by chance
        y = np.r_[[0, 1, 2] * 4, rng.choice(3, n, p=chances)]
        said = np.where(rng.random(len(y)) < .6, y, rng.permutation(y)); said[:6] = [rare, (rare + 1) % 3] * 3
        true = rates(said, y, rare)
        if np.diff(np.sort([true['recall'], true['precision'], (said == y).mean()])).min() > .005: break
    recall, precision = numbers(answer(said, y, rare), 2, 'The pair of recall and precision')
    there, called = (y == rare).sum(), (said == rare).sum()
    if np.allclose([recall, precision], [true['precision'], true['recall']]): return f"{recall:.3f} is the precision and {precision:.3f} the recall: you give them the other way round."
    if not np.isclose(recall, true['recall']): return f"The recall you give is {recall:.3f}. There are {there} pictures of class {rare}, and {round(there * true['recall'])} of them are named so."
    if not np.isclose(precision, true['precision']): return f"The precision you give is {precision:.3f}. {called} pictures are named {rare}, and {round(called * true['precision'])} of them are."
    _, nothing = numbers(answer(np.full(len(y), (rare + 1) % 3), y, rare), 2, 'The pair of recall and precision')
    if not np.isnan(nothing): return f'Where class {rare} is never named, you give a precision of {nothing:g}. There is nothing to divide by: nan.'
    nothing, _ = numbers(answer(said, np.full(len(y), (rare + 1) % 3), rare), 2, 'The pair of recall and precision')
    if not np.isnan(nothing): return f'Where no picture is of class {rare}, you give a recall of {nothing:g}. There is nothing to divide by: nan.'

@exercise('10-3', 'Move the threshold', '''
    Write `evened(probs, y)`: `probs` are probabilities `(N, C)` of a network that was trained on pictures with the labels `y`, `0 … C−1`. The result is what they would be if all classes had been equally frequent; rows sum to 1. Afterwards try it on a network that was trained **with weights**: `probs['weights'][0]`. Its classes were even already, and now the rare one is counted twice.''',
    start='''
    def evened(probs, y):
        ...''',
    answer='evened',
    hints=['A frequent class is more probable before anybody looks at the picture. Take that out again.',
           'Divide each column by the share of its class in `y`: `np.bincount(y)` counts.',
           '`p = probs / np.bincount(y, minlength=probs.shape[1])`, then divide each row by its sum: `p / p.sum(1, keepdims=True)`.'],
    before='import numpy as np',
    solution='''
    def evened(probs, y):
        p = probs / np.bincount(y, minlength=probs.shape[1])
        return p / p.sum(1, keepdims=True)''',
    wrong={'''
    def evened(probs, y):
        return probs / (np.bincount(y, minlength=probs.shape[1]) / len(y))''': 'sums to',
           '''
    def evened(probs, y):
        p = probs * np.bincount(y, minlength=probs.shape[1])
        return p / p.sum(1, keepdims=True)''': 'still more frequent',
           '''
    def evened(probs, y):
        p = probs / probs.mean(0)
        return p / p.sum(1, keepdims=True)''': 'from the labels',
           '''
    def evened(probs, y):
        p = probs / np.sqrt(np.bincount(y, minlength=probs.shape[1]))
        return p / p.sum(1, keepdims=True)''': 'should be'})
def check_10_3(answer, rng):
    c, n = int(rng.integers(2, 5)), int(rng.integers(20, 60))
    y = np.repeat(np.arange(c), rng.permutation(np.arange(1, c + 1) ** 2 * 7))
    probs = rng.dirichlet(np.linspace(.5, 2, c), n)
    got, counts = numbers(answer(probs, y), (n, c), 'The result'), np.bincount(y)
    even = lambda p: p / p.sum(1, keepdims=True)
    want = adjust(probs, counts / len(y))
    if not np.allclose(got.sum(1), 1, atol=1e-6): return f'Your first row sums to {got[0].sum():.3f}. Divide each row by its sum at the end.'
    if np.allclose(got, even(probs * counts)): return f'With {counts.tolist()} pictures of the classes, yours makes the most frequent one still more frequent: divide, do not multiply.'
    if np.allclose(got, even(probs / probs.mean(0))): return 'You divide by the mean of the probabilities. The shares in training come from the labels `y`; how frequent a class is among these pictures is another matter.'
    if not np.allclose(got, want, atol=1e-6): return f'With {counts.tolist()} pictures of the classes, the row {brief(probs[0].round(3).tolist())} becomes {brief(got[0].round(3).tolist())} with you, and should be {brief(want[0].round(3).tolist())}.'

@exercise('10-4', 'Told apart by pixels alone', '''
    Does it take a network to notice other pictures? Write `told_by_pixels(a, b)`: two arrays of pictures `(N, H, W, 3)` and `(M, H, W, 3)`; for each picture two features, the **mean** and the **standard deviation** of its pixels; the result is the AUC that `told_apart` gives for them. Afterwards try it on your two kinds:
    `told_by_pixels(pics.x[pics.train[on_train == here]], pics.x[pics.train[on_train == there]])`''',
    start='''
    def told_by_pixels(a, b):
        ...''',
    answer='told_by_pixels',
    hints=['`told_apart` wants a row for each picture and a column for each feature.',
           '`x.mean((1, 2, 3))` is the mean of each picture, `x.std((1, 2, 3))` its deviation.',
           '`features = lambda x: np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)`'],
    before='import numpy as np\nfrom course_utils.dataset_shift import told_apart, auc',
    solution='''
    def told_by_pixels(a, b):
        features = lambda x: np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)
        return told_apart(features(a), features(b))''',
    wrong={'''
    def told_by_pixels(a, b):
        features = lambda x: x.mean((1, 2, 3))[:, None]
        return told_apart(features(a), features(b))''': 'contrast',
           '''
    def told_by_pixels(a, b):
        features = lambda x: x.std((1, 2, 3))[:, None]
        return told_apart(features(a), features(b))''': 'brightness',
           '''
    def told_by_pixels(a, b):
        features = lambda x: np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)
        return 1 - told_apart(features(a), features(b))''': 'one half is alike',
           '''
    def told_by_pixels(a, b):
        x, which = np.concatenate([a, b]), np.arange(len(a) + len(b)) >= len(a)
        f = np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3)), which], 1)
        return told_apart(f[~which], f[which])''': 'drawn alike'}, limit_s=20.)
def check_10_4(answer, rng):
    n, size = int(rng.integers(60, 90)), int(rng.integers(5, 9))
    def pictures(mean, deviation):
        each, wide = rng.normal(mean, 4, (n, 1, 1, 1)), rng.normal(deviation, 2, (n, 1, 1, 1))
        return (each + wide * rng.normal(size=(n, size, size, 3))).clip(0, 255).astype(np.uint8)
    same, brighter, harder = pictures(120, 20), pictures(130, 20), pictures(120, 26)
    light, contrast, alike = (number(answer(same, other), 'The AUC') for other in (brighter, harder, pictures(120, 20)))
    if light < .15: return f'Pictures that are clearly brighter give {light:.2f}: one half is alike, and 1 is told apart for certain.'
    if light < .8: return f'Two sets that differ in brightness give {light:.2f}: is the mean of each picture among your features?'
    if contrast < .8: return f'Two sets that differ in contrast alone give {contrast:.2f}: is the deviation of each picture among your features?'
    if alike > .8: return f'Two sets that are drawn alike give {alike:.2f}: something other than mean and deviation tells them apart.'
