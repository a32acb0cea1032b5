"""Builds the course's site into _docs/ and shows it: `make site`, `make serve`."""
import argparse, functools, http.server, os, shutil, subprocess, sys, time
from pathlib import Path

from course_utils.config import root
from data_scripts.site.pages import finish, site_root
from data_scripts.site.try_it import ADDRESS, write_try_it

ROOT = root()
PROC = ROOT/'_proc'  # notebooks on their way to the site
DOCS = ROOT/'_docs'  # the site
LAST_LINES = 30  # of a failing engine, that are shown again
HOME_PAGE = 'nbs/index.html'


# ---- build ----

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
    process = subprocess.run(command, cwd=PROC, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    is_built = (PROC/'_docs'/HOME_PAGE).exists()
    if process.returncode or not is_built: sys.exit(failure(name, process.stdout))
    print(without_known(process.stdout), end='')
    shutil.move(PROC/'_docs', DOCS)


def without_known(
    output: str,  # of the engine
) -> str:
    "Without its warnings of links to the *Try it* page, which no engine writes: it is there when the build ends."
    lines = output.splitlines(keepends=True)
    return ''.join(line for line in lines if not line.rstrip().endswith(f'broken link /{ADDRESS}'))


def failure(
    name: str,    # of the engine
    output: str,  # all it said
) -> str:
    "The sentence of a build that failed, with the end of what the engine said."
    lines = output.strip().splitlines()[-LAST_LINES:] or ['(nothing)']
    message = '\n'.join(f'  {line}' for line in lines)
    return f'{name} could not build the site. Its last lines:\n{message}'


def find_quarto(
    engine: str,  # `smalldocs` or `quarto`
) -> str | None:
    "The program Quarto, where it is asked for."
    if engine != 'quarto': return None
    quarto = shutil.which('quarto')
    if not quarto: sys.exit('Quarto is not installed: quarto.org has it, and make site works without, too.')
    return quarto


def build(
    engine: str = 'smalldocs',  # or `quarto`
):
    """nbdev's processing, then an engine's. The committed outputs are the content: nothing is run. smalldocs' site is the one
    that the tests cover and that is published."""
    start = time.monotonic()
    quarto = find_quarto(engine)
    # From an empty folder, so that a page taken out of the course is taken off the site.
    for folder in (PROC, DOCS): shutil.rmtree(folder, ignore_errors=True)
    process_notebooks()
    render(quarto)
    finish(DOCS)
    write_try_it(DOCS)  # a page of its own: no engine touches it
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
    parser.add_argument('--engine', choices=['smalldocs', 'quarto'], default='smalldocs',
                        help='smalldocs makes the published site; Quarto must be installed')
    options = parser.parse_args(arguments)
    if options.action == 'build': build(options.engine)
    else: serve(options.port)
