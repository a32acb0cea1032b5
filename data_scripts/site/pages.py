"""What neither engine does to a page of the site: its look, skip links, a lesson's picture, the way to the next lesson, charts
that follow the theme, explorers with today's script, and nothing fetched from elsewhere. build.py calls `finish` on the built site."""
import html, re, shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from course_utils.config import root
from data_scripts.site.emblems import emblem
from data_scripts.site.lighter import lighten, with_picture_files
from data_scripts.site.pictures import fresh_explorers, mark_charts, opening_explorer

CONFIG = root()/'_quarto.yml'
LOOK = Path(__file__).parent/'look'
EXPLORER_FOLDER = root()/'course_utils'/'show'/'explorer'
OPENING_LESSON = 'nbs/01_augmentation.html'  # whose explorer the home page opens with
HOME = 'nbs/index.html'
PICTURES = 'site_libs/course/pictures'
WIDE_TABLE = 6  # columns: a table of more is set smaller


def site_config(file: Path=CONFIG) -> dict: return yaml.safe_load(file.read_text(encoding='utf-8'))['website']


def site_root(file: Path=CONFIG) -> str:
    "The path under which the published site lies: `/better-image-classifiers/`."
    return urlsplit(site_config(file)['site-url']).path.rstrip('/') + '/'


# ---- pages that are made whole ----

def filled(name: str, **fields) -> str:
    "A page out of `look/` with its fields filled in."
    text = (LOOK/name).read_text(encoding='utf-8')
    for key, value in fields.items(): text = text.replace(f'{{{key}}}', value)
    return text


def lost_page(root: str) -> str:
    "The page for unknown addresses, however deep they are, of a site that lies under `root`."
    return filled('lost.html', root=root)


def redirect_page() -> str:
    "The site's own address leads to the course home, and says what the course is to whoever shows a link to it."
    site = site_config()
    fields = {name: html.escape(site[name]) for name in ('title', 'description', 'image')}
    return filled('redirect.html', address=site['site-url'], **fields)


# ---- what is done to each page ----

@dataclass
class Lesson:
    "What other pages say of a lesson."
    number: str
    question: str  # its one-line summary


@dataclass
class Page:
    "A page while it is finished."
    address: str   # below the site's root: `nbs/01_augmentation.html`
    lessons: dict  # name of a page → its Lesson
    opening: str   # the home page's explorer

    @property
    def to_root(self) -> str:
        "From the page to the site's root."
        return '../' * self.address.count('/')

    @property
    def lesson(self) -> Lesson | None: return self.lessons.get(Path(self.address).stem)


SIDEBAR_SECTION = re.compile(r'(<a class="sidebar-item[^>]*)role="navigation"')


def with_open_sections(text, page):
    "The keyboard opens a section of the sidebar, too."
    return SIDEBAR_SECTION.sub(r'\1role="button" href="#"', text)


FOREIGN_SCRIPT = re.compile(r'<script\b[^>]*\bsrc="(?:https?:)?//[^"]*"[^>]*>\s*</script>\s*')
JQUERY_SHIM = re.compile(r"<script\b[^>]*>\s*define\('jquery'.*?</script>\s*", re.S)


def without_foreign_scripts(text, page):
    "Quarto puts RequireJS and jQuery from elsewhere on every page with HTML output; nothing here uses them."
    return JQUERY_SHIM.sub('', FOREIGN_SCRIPT.sub('', text))


def with_look(text, page):
    "Style sheets and typefaces in the head, scripts at the end."
    folder = f'{page.to_root}site_libs/course'
    faces = [f'<link rel="preload" href="{folder}/fonts/{name}.woff2" as="font" type="font/woff2" crossorigin>'
             for name in ('source-serif-4', 'bricolage-grotesque')]
    sheets = [f'<link rel="stylesheet" href="{folder}/explorer.css">',
              f'<link rel="stylesheet" href="{folder}/look.css" media="screen">']  # paper keeps the plain style of site.css
    scripts = [f'<script src="{folder}/{name}.js"></script>' for name in ('explorer', 'look')]
    text = text.replace('</head>', ''.join(faces + sheets) + '</head>', 1)
    head, end, tail = text.rpartition('</body>')
    return f"{head}{''.join(scripts)}{end}{tail}"


BODY = re.compile(r'<body[^>]*>')
MAIN = re.compile(r'<main\b[^>]*>')


def with_skip_links(text, page):
    "The first stops of the keyboard: the text, and the first slider."
    links = '<a href="#quarto-document-content">Skip to the text</a>'
    if 'figure class="explorer' in text: links += '<a class="skip-to-slider" href="#quarto-document-content">Skip to the first slider</a>'
    nav = f'<nav class="skip-links" aria-label="Skip">{links}</nav>'
    text = re.sub(r'<main\b(?![^>]*tabindex)', '<main tabindex="-1"', text, count=1)
    return BODY.sub(lambda match: match[0] + nav, text, count=1)


SEARCH = re.compile(r'<div class="quarto-navbar-tools">.*?smalldocs-search-results dropdown-menu"></div></div></div>', re.S)
TOGGLER = re.compile(r'<button class="navbar-toggler"')


def with_search_outside(text, page):
    "Search stands in the bar itself, not in the menu that a telephone folds away."
    found = SEARCH.search(text)
    if not found: return text
    text = text.replace(found[0], '', 1)
    return TOGGLER.sub(lambda match: found[0] + match[0], text, count=1)


BRAND = ('<svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true"><path class="blue" d="M4 5C8 18 13 26 28 27"/>'
         '<path class="orange" d="M4 5C8 16 12 19 16.5 18.5C21 18 25 14 28 9"/></svg>')


def with_brand(text, page):
    "The course's mark, training and validation loss that part, before its name."
    return text.replace('<span class="navbar-title">', BRAND + '<span class="navbar-title">', 1)


def with_lesson_picture(text, page):
    "A lesson opens with its picture."
    if not page.lesson: return text
    picture = f'<div class="lesson-picture">{emblem(page.lesson.number)}</div>'
    return MAIN.sub(lambda match: match[0] + picture, text, count=1)


NEXT_LINK = re.compile(r'(<a href="(?:[^"#]*/)?(\w+)\.html" class="pagination-link"[^>]*>(?:(?!</a>).)*?<span class="nav-page-text">.*?</span>)', re.S)


def with_questions(text, page):
    "The ways to the lessons before and behind say what those ask."
    def asked(match):
        lesson = page.lessons.get(match[2])
        if not lesson: return match[0]
        return f'{match[1]}<span class="nav-page-question">{lesson.question}</span>'
    return NEXT_LINK.sub(asked, text)


TABLE = re.compile(r'<table\b[^>]*>.*?</table>', re.S)
COLUMN_NAME = re.compile(r'(<th\b[^>]*>)([^<]*)(</th>)')


def _wrapping_table(match) -> str:
    table = COLUMN_NAME.sub(lambda found: found[1] + found[2].replace('_', '_<wbr>') + found[3], match[0])
    first_row = table.split('</tr>')[0]
    n_columns = first_row.count('<th') + first_row.count('<td')
    if n_columns <= WIDE_TABLE: return table
    tag, rest = table.split('>', 1)
    is_classed = 'class="' in tag
    tag = tag.replace('class="', 'class="wide ') if is_classed else f'{tag} class="wide"'
    return f'{tag}>{rest}'


def with_wrapping_tables(text, page):
    "Headers may break behind an underscore, and tables of many columns are set smaller."
    return TABLE.sub(_wrapping_table, text)


TILE = re.compile(r'<li>(?:<p>)?(<a href="((\d\d)_\w+)\.html">)')
LIST = re.compile(r'<ol\b[^>]*>(?=\s*<li>(?:<p>)?<a href="00_)')
TITLE_BLOCK = re.compile(r'<header id="title-block-header".*?</header>', re.S)
PROGRESS = '<p class="course-progress" hidden></p>'


def with_home(text, page):
    "The home page opens with a picture that moves, and its lessons are tiles with their pictures."
    if page.address != HOME: return text
    text = TITLE_BLOCK.sub(lambda match: match[0] + page.opening, text, count=1)
    text = LIST.sub(f'{PROGRESS}<ol class="lesson-tiles" start="0">', text)
    return TILE.sub(lambda match: f'<li>{emblem(match[3])}<span class="tile-number">{match[3]}</span>{match[1]}', text)


AGAIN = re.compile(r'Met again in (?:(?!</p>).)*')
LESSON_LINK = re.compile(r'(<a href="(\d\d)_\w+\.html")>([^<]*)</a>')


def with_short_lists(text, page):
    "Where a word of the glossary is met again is a list of numbers: the names would be longer than the explanation."
    def short(match): return LESSON_LINK.sub(r'\1 aria-label="Lesson \2, \3">\2</a>', match[0])
    return AGAIN.sub(short, text) if page.address == 'nbs/glossary.html' else text


LISTING = re.compile(r'(<code class="sourceCode[^>]*>)(.*?)(</code>)', re.S)
LONG_LINE = 56   # characters: a longer line may have to wrap
HANGING = 4      # characters by which its second half is set in


def _hanging_line(line: str) -> str:
    "A line of code whose second half, where it wraps, stands further in than its first."
    text = html.unescape(re.sub(r'<[^>]+>', '', line))
    is_whole = line.count('<span') == line.count('</span>')
    if len(text) < LONG_LINE or not is_whole: return line
    indent = len(text) - len(text.lstrip()) + HANGING
    return f'<span class="long-line" style="--in:{indent}ch">{line}</span>'


def _hanging_lines(match) -> str:
    lines = match[2].split('\n')
    return match[1] + '\n'.join(map(_hanging_line, lines)) + match[3]


def with_hanging_lines(text, page):
    "Long lines of code wrap so that one sees where the next line begins. Quarto's markup has a span a line already."
    return text if 'id="cb1-1"' in text else LISTING.sub(_hanging_lines, text)


def with_fresh_pictures(text, page): return mark_charts(fresh_explorers(text))


PAGE_STEPS = (without_foreign_scripts, with_open_sections, with_home, with_fresh_pictures, with_lesson_picture, with_wrapping_tables,
         with_hanging_lines, with_short_lists, with_questions, with_brand, with_search_outside, with_skip_links, with_look)


def publishable(text: str, page: Page) -> str:
    "HTML of a page as it is published."
    for step in PAGE_STEPS: text = step(text, page)
    return text


# ---- the whole site ----

DESCRIPTION = re.compile(r'<meta name="description" content="([^"]*)"')


def find_lessons(docs: Path) -> dict:  # name of a page → Lesson
    "All lessons of a built site."
    lessons = {}
    for path in sorted((docs/'nbs').glob('[0-9][0-9]_*.html')):
        found = DESCRIPTION.search(path.read_text(encoding='utf-8'))
        lessons[path.stem] = Lesson(path.stem[:2], found[1] if found else '')
    return lessons


def copy_look(docs: Path):
    "Style, scripts and typefaces, to where every page finds them."
    folder = docs/'site_libs'/'course'
    shutil.copytree(LOOK, folder, ignore=shutil.ignore_patterns('*.html'))
    (docs/PICTURES).mkdir()
    for name in ('explorer.js', 'explorer.css'): shutil.copy(EXPLORER_FOLDER/name, folder)


FOREIGN_IMPORT = re.compile(r'@import\s*(?:url\()?["\']?(?:https?:)?//[^"\')]*["\']?\)?[^;]*;')


def without_imports(sheet: str) -> str:
    "Bootswatch's themes would fetch a font from elsewhere."
    return FOREIGN_IMPORT.sub('', sheet)


def clean_sheets(docs: Path):
    "No style sheet of the site fetches anything from elsewhere."
    for sheet in docs.rglob('*.css'):
        text = sheet.read_text(encoding='utf-8')
        kept = without_imports(text)
        if kept != text: sheet.write_text(kept, encoding='utf-8')


def finish(docs: Path):
    "From what an engine built to what is published."
    lessons = find_lessons(docs)
    source = docs/OPENING_LESSON
    opening = opening_explorer(source.read_text(encoding='utf-8')) if source.exists() else ''
    copy_look(docs)
    for path in docs.rglob('*.html'):
        page = Page(path.relative_to(docs).as_posix(), lessons, opening)
        text = publishable(path.read_text(encoding='utf-8'), page)
        text = with_picture_files(text, page.to_root + PICTURES, docs/PICTURES)
        path.write_text(text, encoding='utf-8')
    (docs/'index.html').write_text(redirect_page(), encoding='utf-8')
    (docs/'404.html').write_text(lost_page(site_root()), encoding='utf-8')
    clean_sheets(docs)
    lighten(docs)
