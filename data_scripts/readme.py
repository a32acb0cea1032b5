"""Writes the README's table of lessons from the notebooks and results/: `make readme`."""
import json, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START, END = '<!-- lessons:start -->', '<!-- lessons:end -->'


def table(
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


def _json(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _head(nb):
    "The title and the one-line summary, from the first cell."
    lines = ''.join(json.loads(nb.read_text())['cells'][0]['source']).splitlines()
    title = next((l[2:] for l in lines if l.startswith('# ')), nb.stem)
    return title, next((l[1:].strip() for l in lines if l.startswith('>')), '')


def in_sync(folder=ROOT):
    "Whether the README shows what `table` makes."
    return table(folder) in (folder/'README.md').read_text()


def update(folder=ROOT):
    text = (folder/'README.md').read_text()
    if text.count(START) != 1 or text.count(END) != 1: sys.exit(f'README.md needs {START} and {END}, once each.')
    before, after = text.split(START)[0], text.split(END)[1]
    (folder/'README.md').write_text(f'{before}{START}\n{table(folder)}\n{END}{after}')


if __name__ == '__main__':
    update()
    print("README.md: the table of lessons is up to date.")
