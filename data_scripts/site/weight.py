"""What a page weighs: its bytes, and those of all that it may load from the site."""
import json, re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from data_scripts.site.pages import site_root

LOADING = {  # tag → its attributes that name something to load
    'link': ('href',),
    'script': ('src',),
    'img': ('src', 'srcset'),
    'source': ('src', 'srcset'),
    'iframe': ('src',),
    'video': ('src',),
    'audio': ('src',),
    'embed': ('src',),
    'object': ('data',),
    'input': ('src',),
}
QUIET = {'canonical', 'next', 'prev', 'alternate'}  # <link rel=…> that fetch nothing
CSS_URL = re.compile(r'url\(["\']?([^"\')]+)')
CSS_IMPORT = re.compile(r'@import\s+["\']([^"\']+)')
FONT_URL = re.compile(r'url\(["\']?([^"\')]+\.woff2?\b[^"\')]*)')


class Loads(HTMLParser):
    "The addresses of all that a page loads; a subclass may look at more."
    def __init__(self, text: str):
        super().__init__()
        self.loads = []
        self.in_style = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == 'style': self.in_style = True
        is_quiet = tag == 'link' and set(given.get('rel', '').split()) & QUIET
        if not is_quiet: self.loads += [given[name] for name in LOADING.get(tag, ()) if given.get(name)]
        self.loads += CSS_URL.findall(given.get('style') or '')
        # An explorer's further sheets are fetched where a reader chooses them.
        self.loads += [track['src'] for track in json.loads(given.get('data-explorer') or '{}').get('more', [])]

    def handle_endtag(self, tag):
        if tag == 'style': self.in_style = False

    def handle_data(self, data):
        if self.in_style: self.loads += CSS_URL.findall(data) + CSS_IMPORT.findall(data)


def is_outside(address: str) -> bool: return bool(re.match(r'(?:https?:)?//', address))


def target(page: Path, href: str, docs: Path) -> tuple:  # file, anchor
    "What a link inside of the site leads to."
    parts = urlsplit(href)
    path = unquote(parts.path)
    root = site_root()
    if path.startswith(root): file = docs/path.removeprefix(root)
    else: file = (page.parent/path).resolve() if path else page
    return file/'index.html' if file.is_dir() else file, unquote(parts.fragment)


def loaded_files(
    page: Path,
    docs: Path,  # the site
) -> set:
    "A page, and all files that it may load, the typefaces of its style sheets among them."
    loads = Loads(page.read_text(encoding='utf-8')).loads
    local = [address for address in loads if not address.startswith('data:') and not is_outside(address)]
    files = {page, *(target(page, address, docs)[0] for address in local)}
    for sheet in [file for file in files if file.suffix == '.css' and file.exists()]:
        fonts = FONT_URL.findall(sheet.read_text(encoding='utf-8'))
        files |= {(sheet.parent/urlsplit(font).path).resolve() for font in fonts}
    return {file for file in files if file.exists()}


def page_weight(page: Path, docs: Path) -> int:
    "Bytes, uncompressed."
    return sum(file.stat().st_size for file in loaded_files(page, docs))
