"""Draws nbs/images/card.png, which other sites show where somebody links to the course: `python -m course_utils card`."""
import argparse

import numpy as np, yaml
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from course_utils.config import root
from course_utils.data.sources import photo
from course_utils.show.draw import grid
from course_utils.show.palette import BLUE
from course_utils.techniques.augment import SEVEN, Draws

ROOT = root()
SIZE = 1200, 630  # pixels, as other sites want it
TITLE_COLOUR = '#222222'
TEXT_COLOUR = '#595959'
CARD_P = .35  # of each operation


def font(size: int, weight='normal') -> ImageFont.FreeTypeFont:
    "DejaVu Sans, which comes with matplotlib."
    properties = font_manager.FontProperties(family='DejaVu Sans', weight=weight)
    return ImageFont.truetype(font_manager.findfont(properties), size)


def draw_card(
    site: dict,  # `title` and `description`, as in _quarto.yml
) -> Image.Image:
    "The course's title beside nine draws of one photograph, each operation switched on with probability `P`."
    card = Image.new('RGB', SIZE, 'white')
    pen = ImageDraw.Draw(card)
    pen.rectangle((0, 0, 15, SIZE[1]), fill=BLUE)
    title = '\n'.join(site['title'].split())  # a line a word
    words = np.array_split(site['description'].split(), 4)
    text = '\n'.join(' '.join(part) for part in words)
    pen.multiline_text((64, 118), title, TITLE_COLOUR, font(70, 'bold'), spacing=14)
    pen.multiline_text((64, 400), text, TEXT_COLOUR, font(28), spacing=10)
    views = Draws(photo('chelsea', 180), 9, seed=1).views([CARD_P] * len(SEVEN))
    card.paste(Image.fromarray(grid(views, 3, cell=176)), (628, 46))
    return card


def main(arguments=None):
    "Draws the picture anew."
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    site = yaml.safe_load((ROOT/'_quarto.yml').read_text())['website']
    card = draw_card(site).quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    card.save(ROOT/'nbs'/'images'/'card.png', optimize=True)
    print('Drew nbs/images/card.png.')
