"""Draws nbs/images/card.png, which other sites show where somebody links to the course: `python -m course_utils card`."""
import argparse
from pathlib import Path

import numpy as np, yaml
from PIL import Image, ImageDraw, ImageFont

from course_utils.config import root
from course_utils.data.sources import photo
from course_utils.show.palette import BLUE, ORANGE
from course_utils.techniques.augment import SEVEN, Draws

ROOT = root()
FONTS = Path(__file__).parent/'look'/'fonts'
SIZE = 1200, 630  # pixels, as other sites want it
GROUND = '#fefdfb'  # of the site's pages
TITLE_COLOUR = '#222222'
TEXT_COLOUR = '#595959'
CARD_P = .35  # of each operation
SIDE, VIEW_GAP = 172, 14  # of the nine pictures, in pixels


def font(
    name: str,    # of one of the site's typefaces
    size: int,
    weight: int,  # 200 to 800
) -> ImageFont.FreeTypeFont:
    "A typeface of the site."
    face = ImageFont.truetype(FONTS/f'{name}.woff2', size)
    face.set_variation_by_axes([weight])
    return face


def draw_card(
    site: dict,  # `title` and `description`, as in _quarto.yml
) -> Image.Image:
    "The course's title beside nine draws of one photograph, each operation switched on with probability `CARD_P`."
    card = Image.new('RGB', SIZE, GROUND)
    pen = ImageDraw.Draw(card)
    title = '\n'.join(site['title'].split())  # a line a word
    words = np.array_split(site['description'].split(), 4)
    text = '\n'.join(' '.join(part) for part in words)
    pen.multiline_text((64, 84), title, TITLE_COLOUR, font('bricolage-grotesque', 84, 800), spacing=6)
    pen.rectangle((66, 392, 126, 399), fill=BLUE)
    pen.rectangle((126, 392, 186, 399), fill=ORANGE)
    pen.multiline_text((64, 424), text, TEXT_COLOUR, font('source-serif-4', 31, 400), spacing=8)
    views = Draws(photo('chelsea', SIDE), 9, seed=1).views([CARD_P] * len(SEVEN))
    for k, view in enumerate(views):
        row, column = divmod(k, 3)
        card.paste(Image.fromarray(view), (594 + column*(SIDE + VIEW_GAP), 43 + row*(SIDE + VIEW_GAP)))
    return card


def main(arguments=None):
    "Draws the picture anew."
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    site = yaml.safe_load((ROOT/'_quarto.yml').read_text())['website']
    card = draw_card(site).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.FLOYDSTEINBERG)
    card.save(ROOT/'nbs'/'images'/'card.png', optimize=True)
    print('Drew nbs/images/card.png.')
