"""Builds the course's site into _docs/ and shows it: `make site`, `make serve`."""
import argparse, functools, http.server, os, shutil, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROC, DOCS = ROOT/'_proc', ROOT/'_docs'
HOME = 'nbs/index.html'
# The course home is a notebook in nbs/, and the site's own address leads to it.
REDIRECT = f'''<!DOCTYPE html>
<html lang="en-GB"><head><meta charset="utf-8"><title>Better image classifiers</title>
<meta http-equiv="refresh" content="0; url={HOME}"><link rel="canonical" href="{HOME}"></head>
<body><p><a href="{HOME}">Better image classifiers: the course home</a></p></body></html>
'''


def build(quarto=None):
    "nbdev's processing, then Quarto where it is installed, else smalldocs. The committed outputs are the content: nothing is run."
    start = time.monotonic()
    # From an empty folder, so that a page taken out of the course is taken off the site.
    for d in (PROC, DOCS): shutil.rmtree(d, ignore_errors=True)
    # nbdev's warnings are about cells that mix imports and code: a matter of style, of no use here.
    if subprocess.run([sys.executable, '-c', 'from nbdev.serve import proc_nbs; proc_nbs(force=True, n_workers=0)'],
                      cwd=ROOT, env=dict(os.environ, PYTHONWARNINGS='ignore')).returncode:
        sys.exit("nbdev could not process the notebooks: the lines above say why.")
    quarto = quarto or shutil.which('quarto')
    engine = [quarto, 'render', '--no-execute'] if quarto else [sys.executable, '-m', 'smalldocs.cli', 'render', '.']
    r = subprocess.run(engine, cwd=PROC, stderr=subprocess.PIPE, text=True)
    # nbdev writes an option for Quarto alone into every page, and smalldocs says so for every page.
    for line in r.stderr.splitlines():
        if 'output-file is not read' not in line: print(line, file=sys.stderr)
    if r.returncode or not (PROC/'_docs'/HOME).exists():
        sys.exit(f"{'Quarto' if quarto else 'smalldocs'} could not build the site: the lines above say why.")
    shutil.move(PROC/'_docs', DOCS)
    (DOCS/'index.html').write_text(REDIRECT, encoding='utf-8')
    pages = len(list(DOCS.rglob('*.html')))
    print(f"Built {pages} pages into _docs/ with {'Quarto' if quarto else 'smalldocs'} in {time.monotonic() - start:.0f} s; make serve shows them.")


def serve(port):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(DOCS))
    try: server = http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), handler)
    except (OSError, ValueError, OverflowError) as e: sys.exit(f'Port {port} cannot be used ({e}): try another, as in make serve PORT=8890.')
    if not (DOCS/'index.html').exists(): sys.exit('There is no site in _docs/ yet: build it with make site.')
    print(f'The site is at http://127.0.0.1:{port}/ until Ctrl-C.', flush=True)
    try: server.serve_forever()
    except KeyboardInterrupt: print('The site is no longer shown.')


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('what', choices=['build', 'serve'])
    p.add_argument('--port', default='8888')
    a = p.parse_args()
    build() if a.what == 'build' else serve(a.port)
