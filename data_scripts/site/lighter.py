"""What makes a published page light, with either engine: pictures in files of their own, and
of Bootstrap's rules and icons only those that a page of the site uses. `finish` in pages.py calls it."""
import base64, hashlib, io, logging, re
from pathlib import Path

from fontTools import subset
from PIL import Image

# ---- pictures ----

SMALLEST_FILE = 1400  # characters of base64, about 1 KB: less is not worth a request
DATA_ADDRESS = re.compile(r'data:image/(webp|png|jpeg);base64,([A-Za-z0-9+/]{%d,}=*)' % SMALLEST_FILE)
IMAGE_TAG = re.compile(r'<img\b[^>]*>')


def _sized_tag(match) -> str:
    "An image's tag that says its size, so that the text below does not jump when it comes."
    tag = match[0]
    found = DATA_ADDRESS.search(tag)
    if not found or ' width=' in tag: return tag
    width, height = Image.open(io.BytesIO(base64.b64decode(found[2]))).size
    return f'<img width="{width}" height="{height}"{tag[4:]}'


def with_picture_files(
    text: str,      # HTML of a page
    address: str,   # of the folder, as the page writes it
    folder: Path,   # where the files go; a picture that is there already is not written again
) -> str:
    "HTML whose pictures lie in files named by what is in them: on the wire a third less than inside of the page."
    def stored(match):
        data = base64.b64decode(match[2])
        name = f'{hashlib.sha256(data).hexdigest()[:16]}.{match[1]}'
        path = folder/name
        if not path.exists(): path.write_bytes(data)
        return f'{address}/{name}'
    return DATA_ADDRESS.sub(stored, IMAGE_TAG.sub(_sized_tag, text))  # none is lazy: paper would lack it


# ---- icons ----

ICON_RULE = re.compile(r'\.bi-([\w-]+)::before\{content:"[^"]*"\}')
ICON_NAME = re.compile(r'\bbi-([\w-]+)')
CODE_POINT = re.compile(r'content:\s*"\\([0-9a-f]{4})"', re.I)
ICON_SOURCES = re.compile(r'src:url\([^;}]*')


def with_used_icons(
    sheet: str,  # of Bootstrap's icons: a rule for each of some 2,000
    used: set,   # their names, without `bi-`
) -> str:
    "The sheet with the rules of these icons alone."
    return ICON_RULE.sub(lambda match: match[0] if match[1] in used else '', sheet)


def small_font(
    font: Path,          # WOFF, which needs no Brotli
    code_points: set,    # the icons that stay
) -> bytes:
    "The font with these icons alone."
    logging.getLogger('fontTools').setLevel(logging.ERROR)  # it warns of two bytes too many in the original
    options = subset.Options(flavor='woff')
    loaded = subset.load_font(font, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=code_points)
    subsetter.subset(loaded)
    data = io.BytesIO()
    subset.save_font(loaded, data, options)
    return data.getvalue()


def clean_icons(
    sheet: Path,   # bootstrap-icons.min.css, or Quarto's bootstrap-icons.css
    text: str,     # of all other sheets, pages and scripts: they name icons, or their code points
):
    "A page shows a handful of icons: the rules and the drawings of all the others are left out."
    used = set(ICON_NAME.findall(text))
    kept = with_used_icons(sheet.read_text(encoding='utf-8'), used)
    code_points = {int(digits, 16) for digits in CODE_POINT.findall(kept + text)}
    fonts = sorted(sheet.parent.rglob('bootstrap-icons*.woff'))
    if fonts:
        data = small_font(fonts[0], code_points)
        for font in sheet.parent.rglob('bootstrap-icons*.woff*'): font.unlink()
        fonts[0].write_bytes(data)
        address = fonts[0].relative_to(sheet.parent).as_posix()
        kept = ICON_SOURCES.sub(f'src:url("{address}") format("woff")', kept, count=1)
    sheet.write_text(kept, encoding='utf-8')


# ---- rules of the themes ----

CSS_RULE = re.compile(r'/\*.*?\*/|(?P<selectors>[^{};@/]+)\{(?P<body>[^{}]*)\}', re.S)
IN_BRACKETS = re.compile(r'\([^()]*\)|\[[^\]]*\]')   # `:not(.x)` holds where no x is
CLASS = re.compile(r'\.(-?[A-Za-z_](?:[\w-]|\\.)*)')
COMMA = re.compile(r',(?![^(\[]*[)\]])')               # outside of brackets


def is_used(
    selector: str,
    words: set,  # all that stand in pages and scripts
) -> bool:
    "May a page have what the selector finds? Wherever a class is given, by markup or by a script, its name stands there."
    classes = CLASS.findall(IN_BRACKETS.sub('', selector))
    return all(name.replace('\\', '') in words for name in classes)


def with_used_rules(
    sheet: str,  # minified
    words: set,
) -> str:
    "A style sheet without the rules of classes that no page and no script names."
    def kept(match):
        if match['body'] is None: return match[0]  # a comment
        selectors = [selector for selector in COMMA.split(match['selectors']) if is_used(selector, words)]
        return f"{','.join(selectors)}{{{match['body']}}}" if selectors else ''
    return CSS_RULE.sub(kept, sheet)


# ---- the whole site ----

WORD = re.compile(r'[\w-]+')


def text_of(
    docs: Path,
    *kinds: str,  # `html`, `css`: endings of files
) -> str:
    "All text of a site's files of these kinds, but for the sheet of the icons."
    paths = [path for kind in kinds for path in sorted(docs.rglob(f'*.{kind}')) if not path.name.startswith('bootstrap-icons')]
    return '\n'.join(path.read_text(encoding='utf-8') for path in paths)


def lighten(
    docs: Path,  # a finished site
):
    "Leaves out the rules and the icons that none of its pages uses."
    pages = text_of(docs, 'html', 'js')
    words = set(WORD.findall(pages))
    for sheet in docs.glob('site_libs/themes/*.css'):  # smalldocs': Quarto compiles its own
        kept = with_used_rules(sheet.read_text(encoding='utf-8'), words)
        sheet.write_text(kept, encoding='utf-8')
    text = pages + text_of(docs, 'css')
    for sheet in docs.rglob('bootstrap-icons*.css'): clean_icons(sheet, text)
