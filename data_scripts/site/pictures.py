"""What the site finds out about the pictures of a page: which are charts, that can follow a dark theme, and where an explorer wraps."""
import base64, functools, html, io, json, re

import numpy as np
from PIL import Image

from course_utils.show.explorer.sprite import wrap_columns

PAPER_SHARE = .55   # of a picture that is white paper: more, and it is a chart
PAPER_LEVEL = 250   # of 255
LOOKED_AT = 480     # pixels a side are enough to see that

IMAGE = re.compile(r'<img\b[^>]*?\bsrc="data:image/(?:webp|png);base64,([^"]+)"[^>]*>')
EXPLORER = re.compile(r'<figure class="explorer" data-explorer="([^"]*)">(.*?)</figure>', re.S)
OWN_COPIES = re.compile(r'\s*<(style|script)>.*?</\1>', re.S)  # the site brings style and script once


@functools.lru_cache(256)
def decoded(data: str) -> Image.Image:
    "The picture behind a data address."
    return Image.open(io.BytesIO(base64.b64decode(data))).convert('RGB')


def is_chart(picture: Image.Image) -> bool:
    "Is most of it white paper?"
    small = picture.copy()
    small.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.NEAREST)
    darkest = np.asarray(small).min(-1)
    return (darkest >= PAPER_LEVEL).mean() > PAPER_SHARE


def frames_of(
    spec: dict,           # an explorer's, as its page side has it
    sheet: Image.Image,
    n: int=4,             # at most so many, spread over all positions
) -> list:  # pictures `(h, w, 3)` uint8
    "Frames of an explorer's sheet."
    rim = spec['rim']
    width = spec['w'] + 2*rim
    height = spec['h'] + 2*rim
    last = len(spec['says']) - 1
    frames = []
    for k in sorted({round(last * i/(n - 1)) for i in range(n)}):
        row, column = divmod(k, spec['cols'])
        corner = column*width + rim, row*height + rim
        box = (*corner, corner[0] + spec['w'], corner[1] + spec['h'])
        frames.append(np.asarray(sheet.crop(box)))
    return frames


def with_class(tag: str, name: str) -> str:
    "An opening tag with one more class."
    if 'class="' in tag: return tag.replace('class="', f'class="{name} ', 1)
    return re.sub(r'^<(\w+)', rf'<\1 class="{name}"', tag)


def _marked_image(match) -> str:
    try: chart = is_chart(decoded(match[1]))
    except OSError: return match[0]  # no picture that we can read
    return with_class(match[0], 'chart') if chart else match[0]


def mark_charts(page: str) -> str:
    "HTML whose charts have the class `chart`; pictures inside of explorers stay as they are."
    pieces = re.split(r'(<figure class="[^"]*explorer.*?</figure>)', page, flags=re.S)
    for k in range(0, len(pieces), 2): pieces[k] = IMAGE.sub(_marked_image, pieces[k])
    return ''.join(pieces)


def fresh_explorer(match) -> str:
    "An explorer's figure without its own copies of style and script, with the facts that today's script wants."
    spec = json.loads(html.unescape(match[1]))
    body = OWN_COPIES.sub('', match[2])
    frames = frames_of(spec, decoded(IMAGE.search(body)[1]))
    spec.setdefault('columns', wrap_columns(frames))
    kind = 'explorer chart' if is_chart(Image.fromarray(frames[0])) else 'explorer'
    return f'<figure class="{kind}" data-explorer="{html.escape(json.dumps(spec))}">{body}</figure>'


def fresh_explorers(page: str) -> str: return EXPLORER.sub(fresh_explorer, page)


OPENING_TITLE = ('<p class="explorer-title">Move it: what a network sees when each change is '
                 '<a href="01_augmentation.html">switched on with probability p</a></p>')


def opening_explorer(
    page: str,  # HTML of the lesson whose first explorer it is
) -> str:
    "The first explorer of a page with one slider only, that moves by itself when the home page opens. Nothing where there is none."
    found = EXPLORER.search(page)
    if not found: return ''
    spec = json.loads(html.unescape(found[1]))
    spec.pop('more', None)
    body = re.sub(r'<select.*?</select>', '', found[2], flags=re.S)
    body = re.sub(r'<p class="explorer-title">.*?</p>', OPENING_TITLE, body, flags=re.S)
    return f'<figure class="explorer" data-explorer="{html.escape(json.dumps(spec))}">{body}</figure>'
