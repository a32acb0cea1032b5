"""The colours of every figure, which colour-blind readers can tell apart (Okabe and Ito 2008), and how matplotlib draws."""

BLUE = '#0072B2'
ORANGE = '#D55E00'
GREEN = '#009E73'
PINK = '#CC79A7'
YELLOW = '#E69F00'
SKY = '#56B4E9'
GREY = '#6b6b6b'

TRAIN_COLOUR = BLUE     # curves and dots of training pictures
VALID_COLOUR = ORANGE   # curves and dots of held-out pictures

FIGURE_STYLE = {  # matplotlib's rcParams
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.alpha': .25,
    'font.size': 11,
    'figure.constrained_layout.use': True,
    }
CYCLE = [BLUE, ORANGE, GREEN, PINK, YELLOW, SKY]  # in the order in which lines get them
