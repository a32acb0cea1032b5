"""Transfer learning: texts, checks, hints and solutions. Whoever wants to solve them stops reading here."""


from course_utils.classroom.checker import exercise, number, numbers
from course_utils.classroom.guesses import quantity
from course_utils.report.stats import difference

import copy, numpy as np, torch
from torch import nn

quantity('02', 'gain', 'accuracy of frozen, then unfrozen, minus that of scratch', widest=(-.2, .4), example=(.05, .15), shown='{:+.1%}',
         expected=lambda r: (r['gain'], *r['gain_interval']))
quantity('02', 'accuracy', 'accuracy of frozen, then unfrozen', widest=(0, 1), shown='{:.1%}',
         expected=lambda r: [r['runs']['frozen, then unfrozen'][k] for k in ('valid_accuracy', 'low', 'high')])
quantity('02', 'seconds', 'seconds of the main training', widest=(1, 10000), log=True, shown='{:.0f}',
         expected=lambda r: (s := r['runs']['frozen, then unfrozen']['seconds'], s / 3, 3 * s))

@exercise('02-1', 'How large is the new head?', '''
    A linear head turns `features` numbers into `classes` numbers. Write `head_size(features, classes)`: how many parameters does it have?''',
    start='''
    def head_size(features, classes):
        ...''',
    answer='head_size',
    hints=['`nn.Linear(features, classes)` has two tensors. Which?',
           'One weight for each pair of a feature and a class, and a bias for each class.',
           '`features * classes + classes`'],
    solution='''
    def head_size(features, classes):
        return features * classes + classes''',
    wrong={'''
    def head_size(features, classes):
        return features * classes''': 'bias',
           '''
    def head_size(features, classes):
        return features + classes''': 'every pair',
           '''
    def head_size(features, classes):
        return features * classes + features''': 'for each class, not for each feature',
           '''
    def head_size(features, classes):
        return 1280 * classes + classes''': 'has'})
def check_02_1(answer, rng):
    f, c = int(rng.integers(100, 1200)), int(rng.integers(3, 50))
    got, want = number(answer(f, c), 'The number of parameters'), sum(p.numel() for p in nn.Linear(f, c).parameters())
    if got == f * c: return f'For {f} features and {c} classes you give {got:,.0f}. There are {c} more: nn.Linear has a bias, too.'
    if got == f + c: return f'For {f} features and {c} classes you give {got:,.0f}. There is a weight for every pair of a feature and a class.'
    if got == f * c + f: return f'You give {got:,.0f}: the bias is one number for each class, not for each feature.'
    if got != want: return f'nn.Linear({f}, {c}) has {want:,} parameters, and you give {got:,.0f}.'

@exercise('02-2', 'A trap in the input', '''
    A body expects its pictures as in its own training. Write `normalised(x, mean, std)`: `x` holds bytes, an array `(B, H, W, 3)` of uint8; the result is float, `(B, 3, H, W)`, scaled to 0…1, then minus `mean` and divided by `std`, which are three numbers each, one for each colour.''',
    start='''
    def normalised(x, mean, std):
        ...''',
    answer='normalised',
    hints=['Three things: bytes to 0…1, then mean and deviation, then the colours to the front. While the colours come last, the three numbers fit by themselves.',
           'Bytes reach to 255. `(x / 255 - mean) / std` works for arrays with the colours last.',
           '`((x / 255 - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)`'],
    before='import numpy as np',
    solution='''
    def normalised(x, mean, std):
        scaled = (x / 255 - np.array(mean)) / np.array(std)
        return scaled.transpose(0, 3, 1, 2)''',
    wrong={'''
    def normalised(x, mean, std):
        return ((x - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2)''': '255',
           '''
    def normalised(x, mean, std):
        return (x / 255 - np.array(mean)) / np.array(std)''': 'shape',
           '''
    def normalised(x, mean, std):
        return (x / 255 / np.array(std) - np.array(mean)).transpose(0, 3, 1, 2)''': 'before',
           '''
    def normalised(x, mean, std):
        return ((x / 255 - np.array(mean)) / np.array(std)).reshape(len(x), 3, *x.shape[1:3])''': 'reshape',
           '''
    def normalised(x, mean, std):
        return ((x / 255 - .5) / .5).transpose(0, 3, 1, 2)''': 'the mean of your result'})
def check_02_2(answer, rng):
    b, h, w = (int(v) for v in rng.integers(2, 6, 3))
    x, mean, std = rng.integers(0, 256, (b, h, w + 5, 3), dtype=np.uint8), rng.uniform(.3, .6, 3).round(3).tolist(), rng.uniform(.15, .3, 3).round(3).tolist()
    got = numbers(answer(x, mean, std), (b, 3, h, w + 5), 'The result')
    want = ((x / 255 - mean) / std).transpose(0, 3, 1, 2)
    if np.abs(got).max() > 100: return f'Your result reaches {np.abs(got).max():.0f}. Bytes go to 255, and the body wants 0…1 before mean and deviation.'
    if np.allclose(got, (x / 255 / std - mean).transpose(0, 3, 1, 2), atol=1e-4): return f'Yours runs from {got.min():.2f} to {got.max():.2f}: the mean is taken off before the division by the deviation.'
    if np.allclose(np.sort(got, None), np.sort(want, None), atol=1e-4) and not np.allclose(got, want, atol=1e-4): return f'The numbers are right and lie in wrong places: first {got.flat[0]:.2f} … {got.flat[-1]:.2f}. `reshape` cuts rows anew; moving axes takes `transpose` or `permute`.'
    if not np.allclose(got, want, atol=1e-4): return f'For mean {mean} and deviation {std} the mean of your result is {got.mean():.3f}, and should be {want.mean():.3f}.'

@exercise('02-3', 'Freeze a body', '''
    Write `freeze(body)`: afterwards no parameter of `body` asks for a gradient, and a batch passed through it leaves BatchNorm's running statistics alone. It need not return anything.''',
    start='''
    def freeze(body):
        ...''',
    answer='freeze', changes=True,
    hints=['Freezing parameters is one thing, BatchNorm\'s statistics another. The lesson\'s table "what moved" shows both.',
           'Parameters: `p.requires_grad_(False)` for every `p` of `body.parameters()`. Statistics move in train mode only.',
           '`for p in body.parameters(): p.requires_grad_(False)`, and then `body.eval()`.'],
    before='from torch import nn',
    solution='''
    def freeze(body):
        for p in body.parameters(): p.requires_grad_(False)
        body.eval()''',
    wrong={'''
    def freeze(body):
        for p in body.parameters(): p.requires_grad_(False)''': 'running means',
           '''
    def freeze(body):
        body.eval()''': 'still ask for a gradient',
           '''
    def freeze(body):
        body.eval()
        for m in body.modules():
            if isinstance(m, nn.Conv2d): m.requires_grad_(False)''': 'still ask for a gradient',
           '''
    def freeze(body):
        for p in body.parameters(): p.requires_grad_(False); p.data.zero_()
        body.eval()''': 'must stay as they are'})
def check_02_3(answer, rng):
    torch.manual_seed(int(rng.integers(1e6)))
    width = int(rng.integers(4, 9))
    body = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    before = copy.deepcopy(body.state_dict())
    answer(body)
    free = [n for n, p in body.named_parameters() if p.requires_grad]
    if free: return f"{len(free)} of {len(list(body.parameters()))} parameters still ask for a gradient: {', '.join(free[:3])}."
    if any(not torch.equal(p, before[n]) for n, p in body.named_parameters()): return 'Your function has changed the weights. They must stay as they are: they are what was paid for.'
    with torch.enable_grad(): body(torch.randn(8, 3, 8, 8) + 3)
    moved = (body[1].running_mean - before['1.running_mean']).abs().max()
    if moved > 0: return f"After a batch, BatchNorm's running means have moved by up to {moved:.3f}. They move in train mode, and no gradient is needed for that."

@exercise('02-4', 'Without the switch', '''
    Leave `cbs` out of "frozen body" above, so that BatchNorm stays alive, and train it. Put into `my_finding` the run with the switch, the one without, and what the held-out pictures say of the one **without**:
    `'better'`, `'worse'` or `'not told apart'`.''',
    start='''
    my_finding = None  # (runs['frozen body'], train(half, arch, 0, freeze_epochs=epochs + 1, pretrained=True, **common), '…')''',
    answer='my_finding',
    hints=['A difference of two accuracies means little without its interval.',
           '`difference(without, runs["frozen body"])`, from `course_utils.report.stats`, gives the mean difference and its 95 % interval over pictures.',
           "If the interval lies above nought: 'better'. Below: 'worse'. If it holds nought: 'not told apart'."],
    before='''
from course_utils.report.stats import difference
fixed, alive = a_run([.5] * 6, hits=380), a_run([.5] * 6, hits=384, first=40)
good = a_run([.5] * 6, hits=480)''',
    solution='''
    from course_utils.report.stats import difference
    fixed = runs['frozen body']
    alive = train(half, arch, 0, freeze_epochs=epochs + 1, pretrained=True, **common)
    mean, lowest, highest = difference(alive, fixed)
    my_finding = fixed, alive, 'better' if lowest > 0 else 'worse' if highest < 0 else 'not told apart\'''',
    wrong={"my_finding = fixed, alive, 'better'": 'holds nought',
           "my_finding = fixed, good, 'not told apart'": 'lies above nought',
           "my_finding = good, fixed, 'better'": 'lies below nought',
           "my_finding = fixed, fixed, 'not told apart'": 'the same run twice',
           "my_finding = fixed, alive, 'I think so'": 'The word can be',
           "my_finding = fixed, alive": 'three things'})
def check_02_4(answer, rng):
    if not (isinstance(answer, (tuple, list)) and len(answer) == 3): return 'Give three things in brackets: two runs, and a word.'
    fixed, alive, word = answer
    words = 'better', 'worse', 'not told apart'
    if word not in words: return f"The word can be {', '.join(map(repr, words))}, and yours is '{word}'."
    if fixed is alive or np.array_equal(fixed.probs, alive.probs): return f'These are the same run twice, or two that answer alike for all {len(fixed.targets)} pictures.'
    mean, low, high = difference(alive, fixed)
    true = words[0] if low > 0 else words[1] if high < 0 else words[2]
    where = dict(zip(words, ('lies above nought', 'lies below nought', 'holds nought')))[true]
    if word != true: return f"You say '{word}'. The difference is {mean:+.1%}, and its interval, {low:+.1%} to {high:+.1%}, {where}."
