"""Builds the course's site into _docs/ and shows it: `make site`, `make serve`."""
import argparse, functools, http.server, shutil, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROC, DOCS = ROOT/'_proc', ROOT/'_docs'


def build(quarto=None):
    "nbdev's processing, then Quarto where it is installed, else smalldocs. The committed outputs are the content: nothing is run."
    start = time.monotonic()
    # From an empty folder, so that a page taken out of the course is taken off the site.
    for d in (PROC, DOCS): shutil.rmtree(d, ignore_errors=True)
    if subprocess.run([sys.executable, '-c', 'from nbdev.serve import proc_nbs; proc_nbs(force=True)'], cwd=ROOT).returncode:
        sys.exit("nbdev could not process the notebooks: the lines above say why.")
    quarto = quarto or shutil.which('quarto')
    engine = [quarto, 'render', '--no-execute'] if quarto else [sys.executable, '-m', 'smalldocs.cli', 'render', '.']
    if subprocess.run(engine, cwd=PROC).returncode or not (PROC/'_docs'/'index.html').exists():
        sys.exit(f"{'Quarto' if quarto else 'smalldocs'} could not build the site: the lines above say why.")
    shutil.move(PROC/'_docs', DOCS)
    pages = len(list(DOCS.rglob('*.html')))
    print(f"Built {pages} pages into _docs/ with {'Quarto' if quarto else 'smalldocs'} in {time.monotonic() - start:.0f} s; make serve shows them.")


def serve(port):
    if not (DOCS/'index.html').exists(): sys.exit('There is no site in _docs/ yet: build it with make site.')
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(DOCS))
    try: server = http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), handler)
    except (OSError, ValueError, OverflowError) as e: sys.exit(f'Port {port} cannot be used ({e}): try another, as in make serve PORT=8890.')
    print(f'The site is at http://127.0.0.1:{port}/ until Ctrl-C.', flush=True)
    try: server.serve_forever()
    except KeyboardInterrupt: print('The site is no longer shown.')


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('what', choices=['build', 'serve'])
    p.add_argument('--port', default='8888')
    a = p.parse_args()
    build() if a.what == 'build' else serve(a.port)
