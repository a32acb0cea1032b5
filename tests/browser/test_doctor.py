"The doctor in a real JupyterLab: the line on sliders turns green by a round trip, and stays bad where there is none."
import json

import pytest

from .lab import Lab, wait_for

pytestmark = pytest.mark.browser
# The other checks are tested without a browser, and cost a minute of imports.
QUICK = """
import course_utils.machine.doctor as d
for name in set(d.CHECKS) - {'Python'}: del d.CHECKS[name]
"""
# The widget exists in the kernel, but no view of it on the page.
NOT_SHOWN = """
import ipywidgets
ipywidgets.DOMWidget._repr_mimebundle_ = lambda self, **kw: {'text/plain': 'a widget'}
d.RoundTrip.tries = 6
d.doctor()
"""


def line(page, n): return page.locator('.course-doctor').nth(n).locator('tr', has_text='Sliders').inner_text()


def test_the_line_turns_green_by_itself(lab, page):
    lab.write('doctor.ipynb', QUICK, 'd.doctor()', NOT_SHOWN)
    lab.open_notebook(page, 'doctor.ipynb')
    lab.run_all(page, 'doctor.ipynb')
    wait_for(lambda: 'good' in line(page, 0), 30, lambda: line(page, 0))
    wait_for(lambda: 'bad' in line(page, 1), 30, lambda: line(page, 1))
    assert 'a number went to this page and came back' in line(page, 0)
    assert 'nothing back' in line(page, 1)
    assert 'make lab' in line(page, 1)
    assert page.locator('.course-doctor p').nth(0).inner_text() == 'All 2 checks are good: the course runs here.'
    assert '1 of 2 checks is bad (Sliders)' in page.locator('.course-doctor p').nth(1).inner_text()
    assert not page.locator('.widget-play').first.is_visible()


def test_without_a_widget_manager(browser, page, tmp_path):
    "JupyterLab of the same version, with its half of the widgets switched off."
    with Lab(tmp_path/'lab') as lab:
        (tmp_path/'lab'/'config'/'labconfig'/'page_config.json').write_text(json.dumps({'disabledExtensions': {
            '@jupyterlab/apputils-extension:announcements': True, '@jupyter-widgets/jupyterlab-manager': True}}))
        lab.write('doctor.ipynb', QUICK, 'd.RoundTrip.tries = 6\nd.doctor()')
        lab.open_notebook(page, 'doctor.ipynb')
        lab.run_all(page, 'doctor.ipynb')
        wait_for(lambda: 'good' in line(page, 0) or 'bad' in line(page, 0), 30, lambda: line(page, 0))
        assert 'nothing back' in line(page, 0)
