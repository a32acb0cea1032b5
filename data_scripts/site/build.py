"""Builds the course's site into _docs/ and shows it: `make site`, `make serve`."""
import argparse, functools, http.server, os, re, shutil, subprocess, sys, time
from pathlib import Path
from urllib.parse import urlsplit

from course_utils.config import root

ROOT = root()
PROC = ROOT/'_proc'  # notebooks on their way to the site
DOCS = ROOT/'_docs'  # the site
HOME_PAGE = 'nbs/index.html'
FILES = Path(__file__).parent

REDIRECT = (FILES/'redirect.html').read_text(encoding='utf-8')  # the course home is a notebook in nbs/, and the site's own address leads to it
LOST = (FILES/'lost.html').read_text(encoding='utf-8')  # any unknown address gets this page, however deep it is: its links begin at {root}
SCROLL = (FILES/'scroll.js').read_text(encoding='utf-8')  # for every page

SIDEBAR_SECTION = re.compile(r'(<a class="sidebar-item[^>]*)role="navigation"')
FOREIGN_IMPORT = re.compile(r'@import\s*(?:url\()?["\']?(?:https?:)?//[^"\')]*["\']?\)?[^;]*;')


def site_root(folder=ROOT) -> str:
    "The path under which the published site lies: `/better-image-classifiers/`."
    config = (folder/'_quarto.yml').read_text()
    address = re.search(r'^\s*site-url: (\S+)', config, re.M)[1]
    return urlsplit(address).path.rstrip('/') + '/'


def lost_page(root: str) -> str:
    "The page for unknown addresses, of a site that lies under `root`."
    return LOST.replace('{root}', root)


# ---- build ----

def finish(docs: Path):
    """What neither engine does: boxes that scroll and sections that open by keyboard, the first page, the page for unknown
    addresses, and themes that fetch nothing from elsewhere."""
    for page in docs.rglob('*.html'):
        text = page.read_text(encoding='utf-8')
        text = text.replace('</body>', f'<script>\n{SCROLL}</script>\n</body>')
        text = SIDEBAR_SECTION.sub(r'\1role="button" href="#"', text)  # the keyboard opens a section, too
        page.write_text(text, encoding='utf-8')
    (docs/'index.html').write_text(REDIRECT, encoding='utf-8')
    (docs/'404.html').write_text(lost_page(site_root()), encoding='utf-8')
    for sheet in docs.rglob('*.css'):  # Bootswatch's themes would fetch a font from Google
        text = sheet.read_text(encoding='utf-8')
        kept = FOREIGN_IMPORT.sub('', text)
        if kept != text: sheet.write_text(kept, encoding='utf-8')


def process_notebooks():
    "From the notebooks as they lie to Markdown that either engine reads, in _proc/."
    environment = dict(os.environ, PYTHONWARNINGS='ignore')  # nbdev's warnings are about style, of no use here
    process = subprocess.run([sys.executable, '-m', 'data_scripts.site.process'], cwd=ROOT, env=environment)
    if process.returncode: sys.exit('nbdev could not process the notebooks: the lines above say why.')


def render(
    quarto: str | None,  # the program; None: smalldocs
):
    "From _proc/ to pages in _docs/."
    name = 'Quarto' if quarto else 'smalldocs'
    command = [quarto, 'render', '--no-execute'] if quarto else [sys.executable, '-m', 'smalldocs.cli', 'render', '.']
    process = subprocess.run(command, cwd=PROC, stderr=subprocess.PIPE, text=True)
    print(process.stderr, file=sys.stderr, end='')
    is_built = (PROC/'_docs'/HOME_PAGE).exists()
    if process.returncode or not is_built: sys.exit(f'{name} could not build the site: the lines above say why.')
    shutil.move(PROC/'_docs', DOCS)


def find_quarto(
    engine: str | None,  # `quarto`, `smalldocs`, or None for Quarto where it is installed
) -> str | None:
    "The program Quarto, where it is to be used."
    quarto = shutil.which('quarto') if engine != 'smalldocs' else None
    if engine == 'quarto' and not quarto: sys.exit('Quarto is not installed: quarto.org has it, and make site works without, too.')
    return quarto


def build(engine: str | None = None):
    "nbdev's processing, then Quarto where it is installed, else smalldocs. The committed outputs are the content: nothing is run."
    start = time.monotonic()
    quarto = find_quarto(engine)
    # From an empty folder, so that a page taken out of the course is taken off the site.
    for folder in (PROC, DOCS): shutil.rmtree(folder, ignore_errors=True)
    process_notebooks()
    render(quarto)
    finish(DOCS)
    n = len(list(DOCS.rglob('*.html')))
    name = 'Quarto' if quarto else 'smalldocs'
    print(f'Built {n} pages into _docs/ with {name} in {time.monotonic() - start:.0f} s; make serve shows them.')


# ---- serve ----

class Handler(http.server.SimpleHTTPRequestHandler):
    "As the published site answers: 404.html for an unknown address."
    def send_error(self, code, message=None, explain=None):
        page = Path(self.directory)/'404.html'
        if code != 404 or not page.exists(): return super().send_error(code, message, explain)
        text = page.read_text(encoding='utf-8')
        body = text.replace(site_root(), '/').encode()  # while it is served, the site lies at the root
        self.send_response(404)
        self.send_header('Content-Type', 'text/html; charset=utf-8')
        self.send_header('Content-Length', len(body))
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)


def serve(port: str):
    "Shows the built site until Ctrl-C."
    handler = functools.partial(Handler, directory=str(DOCS))
    try: server = http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), handler)
    except (OSError, ValueError, OverflowError) as error:
        sys.exit(f'Port {port} cannot be used ({error}): try another, as in make serve PORT=8890.')
    if not (DOCS/'index.html').exists(): sys.exit('There is no site in _docs/ yet: build it with make site.')
    print(f'The site is at http://127.0.0.1:{port}/ until Ctrl-C.', flush=True)
    try: server.serve_forever()
    except KeyboardInterrupt: print('The site is no longer shown.')


def main(arguments=None):
    "`build` or `serve`."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('action', choices=['build', 'serve'])
    parser.add_argument('--port', default='8888')
    parser.add_argument('--engine', choices=['quarto', 'smalldocs'], help='default: Quarto where it is installed')
    options = parser.parse_args(arguments)
    if options.action == 'build': build(options.engine)
    else: serve(options.port)
