"""What a visitor of the published site meets: weight, first paint, drag to paint, requests, errors, widths, heights, contrast and
keyboard, of every page, in one table: `python -m data_scripts.experiments.site_report`.

It builds the site, opens it in a Chromium, prints the table as Markdown and writes results/site.json. The times want a quiet
machine; `--quick` leaves them and axe out and writes nothing."""
import argparse, subprocess, sys, time
from pathlib import Path
from statistics import median

from tqdm import tqdm

from course_utils.config import CourseError, root
from course_utils.report.results import write_results
from data_scripts.experiments import visit
from data_scripts.experiments.bench.install import processor_seconds
from data_scripts.lessons.timetable import machine_facts
from data_scripts.site.build import DOCS
from data_scripts.site.pages import HOME
from data_scripts.site.weight import page_weight

TIMED_LESSON = 'nbs/01_augmentation.html'
DRAGGED = HOME, TIMED_LESSON, 'nbs/10_troubled_data.html'
REDIRECT = 'index.html'  # leads to the home page at once
ALL_BY_ITSELF = 'try_it/index.html'  # fetches a network: it has a limit of its own
SLOWDOWN = 4
PAINTS = 5
DRAG_STEPS = 30

# What both engines' own pages were, 50 of them, before the site had a look of its own.
ENGINES_ALONE = {  # row → smalldocs 0.5.4, Quarto 1.6.40
    'outside requests': ('0', '112'),
    'script errors': ('0', '56'),
    'heaviest page': ('2.19 MB', '3.61 MB'),
    'too wide at 360 px': ('0', '3'),
    'contrast faults in the dark theme': ('0', '60 on 5 pages'),
    "follows the system's dark mode": ('yes', 'no'),
}


# ---- what is measured ----

def site_pages(docs: Path) -> list:  # addresses below the site's root
    "Every page of a built site, but the one that only leads to another."
    addresses = {path.relative_to(docs).as_posix() for path in docs.rglob('*.html')}
    return sorted(addresses - {REDIRECT})


def build_seconds() -> dict:
    "Builds the site as `make site` does: seconds on the clock, and of a processor."
    spent = processor_seconds()
    start = time.perf_counter()
    process = subprocess.run([sys.executable, '-m', 'course_utils', 'site'], cwd=root(), capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if process.returncode: raise CourseError(f'The site could not be built: {process.stderr.strip().splitlines()[-1]}')
    return dict(clock_s=round(seconds, 1), processor_s=round(processor_seconds() - spent, 1))


def weights(docs: Path) -> dict:  # address → bytes, heaviest first
    "Every page with all that it may load."
    found = {address: page_weight(docs/address, docs) for address in site_pages(docs)}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def widths_and_requests(browser, site: str, addresses: list) -> dict:
    "Every page opened at 360 and at 1280 pixels: what leaves the site, what fails, what is too wide, and how long each page is."
    page = browser.new_page(viewport=visit.TELEPHONE)
    page.set_default_timeout(visit.TIMEOUT_MS)
    seen = visit.watch_requests(page, site)
    too_wide = []
    heights = {}
    for address in tqdm(addresses, desc='widths', disable=None, leave=False):
        heights[address] = {}
        for size in (visit.TELEPHONE, visit.DESKTOP):
            page.set_viewport_size(size)
            page.goto(site + address)
            heights[address][str(size['width'])] = visit.page_height(page)
            if size == visit.TELEPHONE and visit.is_too_wide(page): too_wide.append(address)
    page.close()
    return dict(seen, loads=2 * len(addresses), too_wide=too_wide, heights=heights)


def first_presses(browser, site: str, addresses: list) -> dict:  # address → key presses
    "From the load of each page with an explorer to its first slider."
    page = browser.new_page(viewport=visit.DESKTOP)
    page.set_default_timeout(visit.TIMEOUT_MS)
    presses = {}
    for address in addresses:
        page.goto(site + address)
        if page.locator('figure.explorer').count(): presses[address] = visit.presses_to_slider(page)
    page.close()
    return presses


def follows_the_system(browser, site: str) -> bool:
    "Is the home page dark where the system is?"
    page = browser.new_page(color_scheme='dark')
    page.goto(site + HOME)
    is_dark = page.evaluate(visit.IS_DARK)
    page.close()
    return is_dark


def faults_in_both_themes(browser, site: str, addresses: list) -> dict:
    "What axe finds serious in the light theme, and of contrast in the dark one: address → findings, where there are any."
    # *Try it* lets in no script but its own, so axe needs to go round that rule.
    page = browser.new_page(viewport=visit.DESKTOP, color_scheme='light', reduced_motion='reduce', bypass_csp=True)
    page.set_default_timeout(visit.TIMEOUT_MS)
    findings = dict(light={}, dark={})
    for address in tqdm(addresses, desc='axe', disable=None, leave=False):
        page.goto(site + address)
        if lines := visit.axe_findings(page): findings['light'][address] = lines
        if lines := visit.dark_contrast_findings(page): findings['dark'][address] = lines
    page.close()
    return findings


def paints(browser, site: str, heaviest: str) -> dict:  # address → milliseconds of each try
    "First contentful paint of the home page, a lesson and the heaviest page, in turn."
    addresses = dict.fromkeys((HOME, TIMED_LESSON, heaviest))
    times = {address: [] for address in addresses}
    for _ in range(PAINTS):
        for address in addresses: times[address].append(round(visit.first_paint_ms(browser, site + address, SLOWDOWN), 1))
    return times


def drags(browser, site: str) -> dict:  # address → for each of its sliders the milliseconds of each step
    "Every slider of the home page and of two lessons."
    page = browser.new_page(viewport=visit.DESKTOP, reduced_motion='reduce')  # the home page's would move by itself
    page.set_default_timeout(visit.TIMEOUT_MS)
    times = {}
    for address in DRAGGED:
        page.goto(site + address)
        figures = page.locator('figure.explorer').all()
        times[address] = [[round(ms, 1) for ms in visit.drag_ms(figure, DRAG_STEPS)] for figure in figures]
    page.close()
    return times


def quick_part(browser, site: str, docs: Path) -> dict:
    "All that a busy machine measures as well as a quiet one, but axe."
    addresses = site_pages(docs)
    lessons = [address for address in addresses if address.startswith('nbs/') and address[4:6].isdigit()]
    return dict(
        weights=weights(docs),
        **widths_and_requests(browser, site, addresses),
        presses=first_presses(browser, site, lessons),
        follows_system=follows_the_system(browser, site),
    )


def report(docs: Path, is_quick: bool) -> dict:
    "All measures of a built site."
    with visit.open_browser() as browser, visit.served(docs) as site:
        found = quick_part(browser, site, docs)
        if is_quick: return found
        heaviest = next(address for address in found['weights'] if address != ALL_BY_ITSELF)
        timed = dict(paint_ms=paints(browser, site, heaviest), drag_ms=drags(browser, site))
        return found | timed | dict(axe=faults_in_both_themes(browser, site, list(found['weights'])))


# ---- the table ----

def findings_shown(findings: dict) -> str:
    "`60 on 5 pages`."
    n = sum(map(len, findings.values()))
    return f'{n} on {len(findings)} pages' if n else '0'


def engine_rows(found: dict) -> dict:  # row → as published now
    "The rows of which both engines' figures are known."
    weights = {address: n for address, n in found['weights'].items() if address != ALL_BY_ITSELF}
    heaviest, n_bytes = next(iter(weights.items()))
    rows = {
        'outside requests': f"{len(found['outside'])} in {found['loads']} loads",
        'script errors': f"{len(found['errors'])}",
        'heaviest page': f'{n_bytes / 1e6:.2f} MB ({heaviest})',
        'too wide at 360 px': f"{len(found['too_wide'])}",
        "follows the system's dark mode": 'yes' if found['follows_system'] else 'no',
    }
    if 'axe' in found: rows['contrast faults in the dark theme'] = findings_shown(found['axe']['dark'])
    return rows


def reach_rows(found: dict) -> dict:
    "How long the pages are, and how far a slider is for the keyboard."
    rows = {}
    for width in ('360', '1280'):
        heights = {address: sizes[width] for address, sizes in found['heights'].items()}
        longest = max(heights, key=heights.get)
        rows[f'longest page at {width} px'] = f'{heights[longest]:,} px ({longest})'
    presses = found['presses']
    rows['Tab presses to the first slider (≤ 5)'] = 'no slider reached' if None in presses.values() else f'{max(presses.values())} at most'
    if 'axe' in found: rows['serious findings of axe, light theme (0)'] = findings_shown(found['axe']['light'])
    return rows


def time_rows(found: dict) -> dict:
    "Budgets that a quiet machine keeps."
    rows = {}
    if 'build' in found: rows['build (≤ 60 s)'] = f"{found['build']['clock_s']} s, {found['build']['processor_s']} s of a processor"
    for address, times in found.get('paint_ms', {}).items():
        rows[f'first paint at a quarter of the speed, {address} (≤ 1 s)'] = f'{median(times):.0f} ms, median of {len(times)}'
    for address, sliders in found.get('drag_ms', {}).items():
        slowest = max(median(times) for times in sliders)
        worst = max(map(max, sliders))
        rows[f'drag to paint, {address} (≤ 30 ms)'] = (
            f'median {slowest:.0f} ms, worst {worst:.0f} ms of {DRAG_STEPS} steps, the slowest of {len(sliders)} sliders')
    return rows


def as_table(found: dict) -> str:  # Markdown
    "The table with the two engines beside what is published now."
    lines = [f"| {len(found['weights'])} pages | smalldocs | Quarto 1.6.40 | as published now |", '|--|--:|--:|--:|']
    for row, shown in (engine_rows(found) | reach_rows(found) | time_rows(found)).items():
        smalldocs, quarto = ENGINES_ALONE.get(row, ('', ''))
        lines.append(f'| {row} | {smalldocs} | {quarto} | {shown} |')
    return '\n'.join(lines)


def kept_heights(found: dict) -> str:  # Markdown
    "How long every page is on a telephone and on a desk, the longest first."
    ordered = sorted(found['heights'].items(), key=lambda item: -item[1]['360'])
    lines = [f"| {address} | {sizes['360']:,} | {sizes['1280']:,} |" for address, sizes in ordered]
    return '\n'.join(['| page | px at 360 | px at 1280 |', '|--|--:|--:|', *lines])


def main(arguments=None):
    "Measures, prints and keeps. Raises `CourseError` where there is no browser or the site cannot be built."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='without times and without axe; nothing is written')
    parser.add_argument('--built', action='store_true', help='takes the site as it lies in _docs/')
    options = parser.parse_args(arguments)
    build = {} if options.built else dict(build=build_seconds())
    found = build | report(DOCS, options.quick)
    print(as_table(found), kept_heights(found), sep='\n\n')
    if options.quick: return
    facts = machine_facts('cpu')
    write_results('site', found | dict(processor=facts['device'], cores=facts['cores'], date=facts['date']), sort=False)
    print('Kept in results/site.json.')


if __name__ == '__main__': main()
