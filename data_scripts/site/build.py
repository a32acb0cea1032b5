"""Builds the course's site into _docs/ and shows it: `make site`, `make serve`."""
import argparse, functools, http.server, os, re, shutil, subprocess, sys, time
from pathlib import Path
from urllib.parse import urlsplit

from course_utils.config import root

ROOT = root()

PROC, DOCS = ROOT/'_proc', ROOT/'_docs'
HOME = 'nbs/index.html'
# The course home is a notebook in nbs/, and the site's own address leads to it.
REDIRECT = f'''<!DOCTYPE html>
<html lang="en-GB"><head><meta charset="utf-8"><title>Better image classifiers</title>
<meta http-equiv="refresh" content="0; url={HOME}"><link rel="canonical" href="{HOME}"></head>
<body><main><h1>Better image classifiers</h1><p><a href="{HOME}">The course home</a></p></main></body></html>
'''
# Any unknown address gets this page, however deep it is: so its links begin at the root of the site.
LOST = '''<!DOCTYPE html>
<html lang="en-GB"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex"><title>Page not found – Better image classifiers</title>
<style>body{{font:1.1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1.2rem;color:#222;background:#fff}}
a{{color:#165ead}} @media (prefers-color-scheme:dark){{body{{color:#eee;background:#222}} a{{color:#7fc4f0}}}}</style></head>
<body><main><h1>There is no page at this address</h1>
<p>It may have moved. From here: <a href="{root}nbs/index.html">the course home</a>, which lists all lessons and has a search box, or
<a href="{root}nbs/00_overfitting.html">the first lesson</a>.</p></main></body></html>
'''
# A box that scrolls sideways, such as a wide table on a telephone, can be reached with the keyboard; the others are no stop on the way.
SCROLLS = '''<script>
(() => {
  const see = () => document.querySelectorAll('main .cell-output, main .cell-output-display, main .sd-table, main pre').forEach(box => {
    if (box.scrollWidth > box.clientWidth + 1) { box.tabIndex = 0; box.setAttribute('role', 'group'); box.setAttribute('aria-label', 'Scrolls sideways'); }
    else if (box.getAttribute('aria-label') === 'Scrolls sideways') ['tabindex', 'role', 'aria-label'].forEach(o => box.removeAttribute(o));
  });
  addEventListener('load', see);
  addEventListener('resize', see);
})();
</script>
'''


def site_root(root=ROOT):
    "The path under which the published site lies: `/better-image-classifiers/`."
    return urlsplit(re.search(r'^\s*site-url: (\S+)', (root/'_quarto.yml').read_text(), re.M)[1]).path.rstrip('/') + '/'


def finish(docs):
    "What neither engine does: boxes that scroll and sections that open by keyboard, the first page, the page for unknown addresses, and themes that fetch nothing from elsewhere."
    for page in docs.rglob('*.html'):
        text = page.read_text(encoding='utf-8').replace('</body>', SCROLLS + '</body>')
        text = re.sub(r'(<a class="sidebar-item[^>]*)role="navigation"', r'\1role="button" href="#"', text)   # the keyboard opens a section, too
        page.write_text(text, encoding='utf-8')
    (docs/'index.html').write_text(REDIRECT, encoding='utf-8')
    (docs/'404.html').write_text(LOST.format(root=site_root()), encoding='utf-8')
    for css in docs.rglob('*.css'):   # Bootswatch's themes would fetch a font from Google
        text = css.read_text(encoding='utf-8')
        ours = re.sub(r'@import\s*(?:url\()?["\']?(?:https?:)?//[^"\')]*["\']?\)?[^;]*;', '', text)
        if ours != text: css.write_text(ours, encoding='utf-8')


def build(engine=None):
    "nbdev's processing, then Quarto where it is installed, else smalldocs. The committed outputs are the content: nothing is run."
    start = time.monotonic()
    # From an empty folder, so that a page taken out of the course is taken off the site.
    for d in (PROC, DOCS): shutil.rmtree(d, ignore_errors=True)
    # In one process, so that torch is imported once. nbdev's warnings are about style, of no use here.
    if subprocess.run([sys.executable, '-c', 'from nbdev.serve import proc_nbs; proc_nbs(force=True, n_workers=0)'],
                      cwd=ROOT, env=dict(os.environ, PYTHONWARNINGS='ignore')).returncode:
        sys.exit("nbdev could not process the notebooks: the lines above say why.")
    quarto = shutil.which('quarto') if engine != 'smalldocs' else None
    if engine == 'quarto' and not quarto: sys.exit('Quarto is not installed: quarto.org has it, and make site works without, too.')
    command = [quarto, 'render', '--no-execute'] if quarto else [sys.executable, '-m', 'smalldocs.cli', 'render', '.']
    r = subprocess.run(command, cwd=PROC, stderr=subprocess.PIPE, text=True)
    print(r.stderr, file=sys.stderr, end='')
    if r.returncode or not (PROC/'_docs'/HOME).exists():
        sys.exit(f"{'Quarto' if quarto else 'smalldocs'} could not build the site: the lines above say why.")
    shutil.move(PROC/'_docs', DOCS)
    finish(DOCS)
    pages = len(list(DOCS.rglob('*.html')))
    print(f"Built {pages} pages into _docs/ with {'Quarto' if quarto else 'smalldocs'} in {time.monotonic() - start:.0f} s; make serve shows them.")


class Handler(http.server.SimpleHTTPRequestHandler):
    "As the published site answers: 404.html for an unknown address."
    def send_error(self, code, message=None, explain=None):
        lost = Path(self.directory)/'404.html'
        if code != 404 or not lost.exists(): return super().send_error(code, message, explain)
        body = lost.read_text(encoding='utf-8').replace(site_root(), '/').encode()   # here the site lies at the root
        self.send_response(404)
        for name, value in {'Content-Type': 'text/html; charset=utf-8', 'Content-Length': len(body)}.items(): self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)


def serve(port):
    handler = functools.partial(Handler, directory=str(DOCS))
    try: server = http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), handler)
    except (OSError, ValueError, OverflowError) as e: sys.exit(f'Port {port} cannot be used ({e}): try another, as in make serve PORT=8890.')
    if not (DOCS/'index.html').exists(): sys.exit('There is no site in _docs/ yet: build it with make site.')
    print(f'The site is at http://127.0.0.1:{port}/ until Ctrl-C.', flush=True)
    try: server.serve_forever()
    except KeyboardInterrupt: print('The site is no longer shown.')


def main(arguments=None):
    "`build` or `serve`."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=['build', 'serve'])
    parser.add_argument('--port', default='8888')
    parser.add_argument('--engine', choices=['quarto', 'smalldocs'], help='default: Quarto where it is installed')
    options = parser.parse_args(arguments)
    if options.what == 'build': build(options.engine)
    else: serve(options.port)
