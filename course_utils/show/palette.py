"""Every colour of the course, once: lines, verdicts, frames, and how matplotlib draws. No other module writes a colour down.

The named ones can be told apart by colour-blind readers (Okabe and Ito 2008). To give held-out pictures another colour in
`curves`, change `VALID_COLOUR`; to give verdicts another sign or colour, change `LEVELS`."""
from typing import NamedTuple

BLUE = '#0072B2'
ORANGE = '#D55E00'
GREEN = '#009E73'
PINK = '#CC79A7'
YELLOW = '#E69F00'
SKY = '#56B4E9'
GREY = '#6b6b6b'
BLACK = '#000000'

TRAIN_COLOUR = BLUE     # curves and dots of training pictures
VALID_COLOUR = ORANGE   # curves and dots of held-out pictures

FADED = '#c8c8c8'       # lines and dots of what is left out, or not reached yet
NOISE = '#b0b0b0'       # raw numbers behind a smoothed line
PALE_BLUE = '#7fb8d8'   # further lines of what a blue line shows

INK = '#282828'         # text inside of pictures
RULER = '#e1e1e1'       # lines of a grid inside of pictures
PAPER = '#fff'          # the ground of figures
BORDER = '#8886'        # thin lines around frames, visible on a light and on a dark page


class Level(NamedTuple):
    "How a verdict is shown."
    sign: str
    colour: str


LEVELS = {
    'good': Level('✓', GREEN),
    'near': Level('≈', YELLOW),     # nearly good
    'note': Level('!', YELLOW),     # good to know
    'trouble': Level('✗', ORANGE),
    'none': Level('·', GREY),       # no verdict can be given
    'info': Level('', BLUE),        # a sentence that judges nothing
}

FIGURE_STYLE = {  # matplotlib's rcParams
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.alpha': .25,
    'font.size': 11,
    'figure.constrained_layout.use': True,
}
CYCLE = [BLUE, ORANGE, GREEN, PINK, YELLOW, SKY]  # in the order in which lines get them


def rgb(colour: str) -> tuple:  # (red, green, blue), each 0…255
    "A colour `#rrggbb` as numbers."
    return tuple(int(colour[k:k + 2], 16) for k in (1, 3, 5))


def grey(value: int) -> str:  # `#rrggbb`
    "The grey of that brightness: 0 is black, 255 white."
    return f'#{value:02x}{value:02x}{value:02x}'
