"""The table of the published site, from measures that are made up here."""
import pytest

from data_scripts.experiments import site_report

pytestmark = pytest.mark.slow
FOUND = dict(
    weights={'try_it/index.html': 11e6, 'nbs/a.html': 1.5e6, 'nbs/index.html': 1e6},
    outside=[], errors=['x'], missing=[], loads=6, too_wide=['nbs/a.html'], follows_system=True,
    heights={'nbs/a.html': {'360': 2000, '1280': 900}, 'nbs/index.html': {'360': 1000, '1280': 950}},
    presses={'nbs/a.html': 3},
)
TIMES = dict(build=dict(clock_s=20., processor_s=15.), paint_ms={'nbs/a.html': [900, 100, 200]}, drag_ms={'nbs/a.html': [[10, 12, 90], [20, 20, 21]]},
             axe=dict(light={}, dark={'nbs/a.html': ['one', 'two']}))


def cells(text): return {line.split(' | ')[0].strip('| '): line.strip('| ').split(' | ')[-1] for line in text.splitlines()}


def test_the_table_has_what_is_published_beside_the_engines():
    rows = cells(site_report.as_table(FOUND))
    assert rows['outside requests'] == '0 in 6 loads'
    assert rows['script errors'] == '1'
    assert rows['heaviest page'] == '1.50 MB (nbs/a.html)'
    assert rows['too wide at 360 px'] == '1'
    assert rows['longest page at 360 px'] == '2,000 px (nbs/a.html)'
    assert rows['longest page at 1280 px'] == '950 px (nbs/index.html)'
    assert '| 0 | 112 | 0 in 6 loads |' in site_report.as_table(FOUND)


def test_times_are_medians_and_the_worst():
    rows = cells(site_report.as_table(FOUND | TIMES))
    assert rows['first paint at a quarter of the speed, nbs/a.html (≤ 1 s)'] == '200 ms, median of 3'
    assert rows['drag to paint, nbs/a.html (≤ 30 ms)'].startswith('median 20 ms, worst 90 ms')
    assert rows['contrast faults in the dark theme'] == '2 on 1 pages'


def test_a_slider_out_of_reach_is_said():
    assert cells(site_report.as_table(FOUND | dict(presses={'nbs/a.html': None})))['Tab presses to the first slider (≤ 5)'] == 'no slider reached'


def test_the_redirect_is_no_page(tmp_path):
    for name in ('index.html', '404.html'): (tmp_path/name).touch()
    assert site_report.site_pages(tmp_path) == ['404.html']
