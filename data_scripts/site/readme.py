"""Writes the README's tables, of lessons and of the ladder, from the notebooks and results/: `make readme`."""
import argparse, json, sys
from pathlib import Path

from course_utils.config import root, write_whole

ROOT = root()


def mark(what, end): return f"<!-- {what}:{'end' if end else 'start'} -->"


def lessons(
    folder: Path = ROOT,
) -> str:  # Markdown
    "One row a lesson: its title and summary from the notebook, minutes and gain from results/."
    seconds = _json(folder/'results'/'lessons.json')
    rows = ['| lesson | what you learn | minutes on a CPU | what it adds |', '|---|---|--:|---|']
    for nb in sorted((folder/'nbs').glob('[0-9]*.ipynb')):
        title, summary = _head(nb)
        s = seconds.get(nb.stem, {}).get('cpu', {}).get('seconds')
        adds = _json(folder/'results'/f"lesson_{nb.stem.split('_')[0]}.json").get('headline', '—')
        rows.append(f"| [{title}](nbs/{nb.name}) | {summary} | {'—' if s is None else f'{s/60:.1f}'} | {adds} |")
    return '\n'.join(rows)


def ladder(
    folder: Path = ROOT,
) -> str:  # Markdown
    "One row a rung of lesson 09: accuracy, what it added to the rung below with its interval, minutes of one training."
    rows = _json(folder/'results'/'lesson_09.json').get('runs', {}).get('solar cpu', {}).get('ladder', [])
    if not rows: return 'Not measured yet: `make ladder`.'
    share = lambda v: '—' if v is None else f'{v:+.1%}'
    return '\n'.join(['| rung | accuracy | added | 95 % interval | minutes |', '|---|--:|--:|--:|--:|'] + [
        f"| {r['rung']} | {r['accuracy']:.1%} | {share(r.get('gain'))} | {' to '.join(share(r[k]) for k in ('low', 'high')) if 'low' in r else '—'} | {r['minutes']:.1f} |" for r in rows])


TABLES = dict(lessons=lessons, ladder=ladder)


def _json(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _head(nb):
    "The title and the one-line summary, from the first cell."
    lines = ''.join(json.loads(nb.read_text())['cells'][0]['source']).splitlines()
    title = next((l[2:] for l in lines if l.startswith('# ')), nb.stem)
    return title, next((l[1:].strip() for l in lines if l.startswith('>')), '')


def in_sync(folder=ROOT):
    "Whether the README shows what the tables say."
    text = (folder/'README.md').read_text()
    return all(table(folder) in text for table in TABLES.values())


def update(folder=ROOT):
    text = (folder/'README.md').read_text()
    for what, table in TABLES.items():
        start, end = mark(what, False), mark(what, True)
        if text.count(start) != 1 or text.count(end) != 1: sys.exit(f'README.md needs {start} and {end}, once each.')
        before, after = text.split(start)[0], text.split(end)[1]
        text = f'{before}{start}\n{table(folder)}\n{end}{after}'
    write_whole(folder/'README.md', text)


def main(arguments=None):
    "Writes the tables into README.md."
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    update()
    print("README.md: the tables of lessons and of the ladder are up to date.")
