"The cards at the top of lessons show what was measured last, and not the run before."
import nbformat, pytest

from course_utils.config import root
from data_scripts.site.write_cards import lessons_and_cases, with_card, with_numbers

NOTEBOOKS = lessons_and_cases(root()/'nbs')
HTML = '<div class="course-card"><b>Minutes</b> · 2.8 at profile cpu. This kernel: x<details><summary><b>What came out here (after your guess)</b></summary>old</details></div>'


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_the_card_is_in_step(path):
    notebook = nbformat.read(path, 4)
    assert with_card(notebook, path.stem) == notebook, 'run make tidy'


def test_a_stale_card_is_found():
    notebook = nbformat.read(NOTEBOOKS[0], 4)
    shown = next(o.data for c in notebook.cells for o in c.get('outputs', []) if 'course-card' in o.get('data', {}).get('text/html', ''))
    shown['text/html'] = with_numbers(shown['text/html'], '99.9 at profile cpu', 'another result')
    assert with_card(notebook, NOTEBOOKS[0].stem) != notebook


def test_numbers_in_html():
    new = with_numbers(HTML, '10.5 at profile cpu (A)', '<b> +1 %')
    assert '<b>Minutes</b> · 10.5 at profile cpu (A). This kernel: x' in new
    assert '</summary>&lt;b&gt; +1 %</details>' in new


def test_numbers_in_text(): assert with_numbers('Minutes: 2.8 at cpu; 1 at gpu. This kernel: x', '3', '') == 'Minutes: 3. This kernel: x'


def test_a_card_without_minutes_gets_them(): assert with_numbers('Minutes: This kernel: x', '3', '') == 'Minutes: 3. This kernel: x'


def test_a_card_may_lose_them(): assert with_numbers('Minutes: 3. This kernel: x', '', '') == 'Minutes: This kernel: x'
