"""Draws nbs/images/card.png, which other sites show where somebody links to the course: python data_scripts/card.py"""
import sys
from pathlib import Path

from course_utils.config import root

from course_utils.techniques.augment import SEVEN, Draws
from course_utils.show.draw import grid
from course_utils.data.sources import photo

import numpy as np
import yaml
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

ROOT = root()

BLUE, DARK, GREY, P = '#0072B2', '#222222', '#595959', .35


def draw(site: dict) -> Image.Image:
    "The course's title beside nine draws of one photograph, each operation switched on with probability `P`."
    font = lambda size, weight='normal': ImageFont.truetype(font_manager.findfont(font_manager.FontProperties(family='DejaVu Sans', weight=weight)), size)
    card = Image.new('RGB', (1200, 630), 'white')
    pen = ImageDraw.Draw(card)
    pen.rectangle((0, 0, 15, 630), fill=BLUE)
    words = site['description'].split()
    lines = [' '.join(w) for w in np.array_split(words, 4)]
    pen.multiline_text((64, 118), '\n'.join(site['title'].split()), DARK, font(70, 'bold'), spacing=14)
    pen.multiline_text((64, 400), '\n'.join(lines), GREY, font(28), spacing=10)
    views = Draws(photo('chelsea', 180), 9, seed=1).views([P] * len(SEVEN))
    card.paste(Image.fromarray(grid(views, 3, cell=176)), (628, 46))
    return card

