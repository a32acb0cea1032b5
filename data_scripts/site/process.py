"""nbdev's processing, then the pages that no notebook holds. build.py runs it in a process of its own, in the course's folder."""
from pathlib import Path

from nbdev.serve import proc_nbs

from data_scripts.site.processors import finished_markdown
from data_scripts.site.reference import write_pages

if __name__ == '__main__':
    proc_nbs(force=True, n_workers=0)  # in one process, so that torch is imported once
    write_pages(Path('_proc/nbs'), finished_markdown)
