"""A picture for each lesson: few lines that show its idea, in the colours of the figures. The page's style sheet gives the colours,
so the pictures follow the dark theme. Curves are drawn from their formulas; the ladder is the measured one."""
import math, random

from course_utils.report.ladder_results import measured_ladder
from course_utils.show.html import Markup, element, join

WIDTH, HEIGHT = 400, 100
EDGE = 20       # pixels left free around a drawing
N_POINTS = 80   # of a curve


def _place(share_x: float, share_y: float) -> tuple:
    "A place in the drawing: (0, 0) is its lower left corner, (1, 1) its upper right one."
    x = EDGE + share_x * (WIDTH - 2*EDGE)
    y = HEIGHT - EDGE/2 - share_y * (HEIGHT - EDGE)
    return round(x, 1), round(y, 1)


def _line(points, colour) -> Markup:
    "A line through places."
    corners = ' '.join(f'{x},{y}' for x, y in points)
    return element('polyline', points=corners, class_=f'line {colour}')


def _curve(height, colour, start=0., stop=1.) -> Markup:
    "The graph of a function from [0, 1] to [0, 1]."
    xs = [start + (stop - start) * k / N_POINTS for k in range(N_POINTS + 1)]
    return _line([_place(x, height(x)) for x in xs], colour)


def _dot(share_x, share_y, colour, radius=5) -> Markup:
    x, y = _place(share_x, share_y)
    return element('circle', cx=x, cy=y, r=radius, class_=f'full {colour}')


def _ring(share_x, share_y, colour, radius) -> Markup:
    x, y = _place(share_x, share_y)
    return element('circle', cx=x, cy=y, r=radius, class_=f'line {colour}')


def _box(x, y, width, height, colour, kind='full', turn=0) -> Markup:
    "A rectangle, by its corner in pixels; `turn` in degrees around its middle."
    transform = f'rotate({turn} {x + width/2:g} {y + height/2:g})' if turn else None
    return element('rect', x=round(x, 1), y=round(y, 1), width=round(width, 1), height=round(height, 1), rx=2,
                   class_=f'{kind} {colour}', transform=transform)


def _bars(heights, colours) -> list:
    "Bars that stand beside each other."
    step = (WIDTH - 2*EDGE) / len(heights)
    bars = []
    for k, (share, colour) in enumerate(zip(heights, colours)):
        height = share * (HEIGHT - EDGE)
        bars.append(_box(EDGE + k*step, HEIGHT - EDGE/2 - height, .72*step, height, colour))
    return bars


# ---- one a lesson ----

def _overfitting():
    def train(x): return .95*math.exp(-3.2*x)
    def valid(x): return .95*math.exp(-4*x) + .08 + .9*max(0, x - .3)**1.3
    best = min((k / 100 for k in range(101)), key=valid)
    return [_line([_place(best, 0), _place(best, 1)], 'grey'), _curve(train, 'blue'), _curve(valid, 'orange')]


def _augmentation():
    parts = []
    for k, turn in enumerate((0, 12, -20, 90, 180, -8, 33)):
        x = EDGE + k*52
        colour = 'grey' if k == 0 else 'blue'
        square = _box(x, 28, 44, 44, colour, 'line', turn)
        mark = _box(x + 8, 36, 12, 28, 'orange', turn=turn)
        parts += [square, element('g', mark, transform=f'rotate({turn} {x + 22} 50)' if turn else None)]
    return parts


def _transfer():
    heights = [1, .92, .84, .76, .68, .6, .52, .44, .95]
    return _bars(heights, ['blue'] * 8 + ['orange'])


def _lr_finder():
    def loss(x): return .72 - .5/(1 + math.exp(-14*(x - .45))) + max(0, x - .78)**2 * 14
    return [_curve(loss, 'blue', stop=.97), _dot(.45, loss(.45), 'orange', 6)]


def _restarts():
    parts = []
    begin = 0.
    for length in (1/7, 2/7, 4/7):
        def rate(x, begin=begin, length=length): return .5 + .5*math.cos(math.pi * (x - begin)/length)
        parts += [_curve(rate, 'blue', begin, begin + length), _dot(begin, 1, 'orange')]
        begin += length
    return parts


def _layer_groups():
    heights = [.12, .14, .16, .34, .38, .42, .8, .9, 1]
    return _bars(heights, ['sky'] * 3 + ['blue'] * 3 + ['orange'] * 3)


def _tta():
    goal = .85, .5
    parts = []
    for k in range(5):
        y = .08 + .21*k
        parts += [_line([_place(.1, y), _place(*goal)], 'grey'), _dot(.1, y, 'blue', 6)]
    return [*parts, _dot(*goal, 'orange', 10)]


def _gradcam():
    rings = [(46, 'blue'), (35, 'sky'), (24, 'yellow'), (13, 'orange')]
    frame = _box(EDGE, 6, WIDTH - 2*EDGE, HEIGHT - 12, 'grey', 'line')
    return [frame, *(_dot(.62, .5, colour, radius*.9) for radius, colour in rings)]


def _scaling():
    parts = []
    x = EDGE
    for k, side in enumerate((14, 22, 31, 41, 52, 64, 78)):
        parts.append(_box(x, HEIGHT - EDGE/2 - side, side, side, 'orange' if k == 3 else 'blue', 'line'))
        x += side + 9
    return parts


def _ladder():
    "The measured ladder on the solar cells, its highest rung in orange; nothing where it was not measured."
    levels = [seeds.accuracy for seeds in measured_ladder('solar').values()]  # a mean, low and high a rung
    if not levels: return []
    bottom, top = min(low for _, low, _ in levels), max(high for *_, high in levels)
    parts = []
    for k, accuracies in enumerate(levels):
        x = (k + .5)/len(levels)
        mean, low, high = [(accuracy - bottom)/(top - bottom) for accuracy in accuracies]
        colour = 'orange' if k == len(levels) - 1 else 'blue'
        parts += [_line([_place(x, low), _place(x, high)], 'grey'), _dot(x, mean, colour, 6)]
    return parts


def _troubled_data():
    rare = {23, 61}
    parts = []
    for k in range(80):
        row, column = divmod(k, 20)
        parts.append(_dot((column + .5)/20, (row + .5)/4, 'orange' if k in rare else 'blue', 4.5))
    return parts


def _search():
    rng = random.Random(4)
    places = [(rng.random(), rng.random()) for _ in range(26)]
    best = min(places, key=lambda place: (place[0] - .7)**2 + (place[1] - .6)**2)
    trials = [_dot(x, y, 'orange' if (x, y) == best else 'blue', 4.5) for x, y in places]
    return [*trials, _ring(*best, 'orange', 12)]


def _your_pictures():
    parts = []
    for k in range(6):
        x = EDGE + k*61
        colour = 'orange' if k in (1, 4) else 'blue'
        hill = element('polyline', points=f'{x + 6},68 {x + 20},{44 + 3*k} {x + 32},60 {x + 40},52 {x + 48},68', class_=f'line {colour}')
        parts += [_box(x, 24, 54, 52, colour, 'line'), hill]
    return parts


def _newer_techniques():
    first, second = _box(EDGE + 20, 20, 62, 62, 'blue', 'line'), _box(EDGE + 120, 20, 62, 62, 'orange', 'line')
    pasted = [_box(EDGE + 240, 20, 62, 62, 'blue', 'line'), _box(EDGE + 264, 44, 38, 38, 'orange')]
    return [first, second, *pasted]


DRAWINGS = {
    '00': _overfitting,
    '01': _augmentation,
    '02': _transfer,
    '03': _lr_finder,
    '04': _restarts,
    '05': _layer_groups,
    '06': _tta,
    '07': _gradcam,
    '08': _scaling,
    '09': _ladder,
    '10': _troubled_data,
    '11': _search,
    '12': _your_pictures,
    '13': _newer_techniques,
}


def emblem(
    number: str,  # of the lesson: `00`
) -> Markup:  # nothing for a lesson that has no drawing yet
    "The lesson's picture, as SVG. It decorates: screen readers pass over it."
    if number not in DRAWINGS: return Markup()
    return element('svg', join(DRAWINGS[number]()), class_='emblem', viewBox=f'0 0 {WIDTH} {HEIGHT}', aria_hidden='true')
