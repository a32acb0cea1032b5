"""Is this machine ready, and if not, what exactly puts it right? `doctor()` in a notebook, `make doctor` in a terminal.

A new check is a function that gives a `CheckResult` (in hardware.py or software.py) and a line in `CHECKS`; tests/test_doctor.py
wants a machine on which it finds something."""
import asyncio, sys

from course_utils.machine.checks import STATES, CheckResult, error_line, reinstall
from course_utils.machine.hardware import check_disk, check_gpu, check_memory, check_writing
from course_utils.machine.sliders import RoundTrip
from course_utils.machine.software import (
    check_browser, check_fonts, check_offline, check_packages, check_photographs, check_python, check_weights)
from course_utils.show.html import LEFT, LINE_BREAK, cell, element, in_html, join, table
from course_utils.show.palette import LEVELS

CHECKS = {  # name → a function of no required arguments that gives a `CheckResult`, or None where there is nothing to say
    'Python': check_python,
    'Packages': check_packages,
    'GPU': check_gpu,
    'Memory and cores': check_memory,
    'Disk': check_disk,
    'Writing': check_writing,
    'Fonts': check_fonts,
    'Weights': check_weights,
    'Photographs': check_photographs,
    'Without a network': check_offline,
    'Browser for the tests': check_browser,
}


def run_checks(
    checks=None,  # as `CHECKS`
) -> list:  # of `CheckResult`
    "Runs the checks. One that stops is a result, too."
    results = []
    for name, check in (CHECKS if checks is None else checks).items():
        try: result = check()
        except Exception as error: result = CheckResult('bad', f'the check stopped with {error_line(error)}', reinstall())
        if result is None: continue
        result.name = name
        results.append(result)
    return results


class CheckResults(list):
    "Results of checks, a line each, and a last sentence. Text in a terminal, a table in a notebook."
    @property
    def state(self) -> str:
        "The worst there is."
        return max((result.state for result in self), key=list(STATES).index, default='good')

    def names(self, state: str) -> list: return [result.name for result in self if result.state == state]

    @property
    def sentence(self) -> str:
        "All of it in one line."
        n = len(self)
        bad = self.names('bad')
        look = self.names('look')
        if bad: return f"{len(bad)} of {n} checks {is_or_are(bad)} bad ({', '.join(bad)}): do what stands there, then ask the doctor again."
        if look:
            return (f"{n - len(look)} of {n} checks are good, and {len(look)} {is_or_are(look)} worth a look ({', '.join(look)}): "
                    "the course runs here.")
        return f'All {n} checks are good: the course runs here.'

    def __repr__(self):
        lines = [line for result in self for line in text_lines(result)]
        return '\n'.join([*lines, self.sentence]).replace('`', '')

    def _repr_html_(self):
        results = table([], map(html_cells, self), 'What the doctor found', row_name=1)
        last = element('p', element('b', self.sentence), role='status')
        return element('div', results, last, class_='course-doctor')


def is_or_are(names: list) -> str: return 'is' if len(names) == 1 else 'are'


def text_lines(result: CheckResult) -> list:
    "A result in a terminal: what was found, and below it what puts it right."
    sign = LEVELS[STATES[result.state]].sign
    lines = [f'{sign} {result.state:<4}  {result.name}: {result.found}']
    if result.fix: lines.append(f'         Fix: {result.fix}')
    return lines


def html_cells(result: CheckResult) -> list:
    "A result as cells of a table: state, name, what was found."
    level = LEVELS[STATES[result.state]]
    sign = element('b', level.sign, style=f'color:{level.colour}')
    text = in_html(result.found)
    if result.fix: text = join([text, LINE_BREAK, 'Fix: ', in_html(result.fix)])
    return [cell(join([sign, ' ', result.state]), style=f'white-space:nowrap;{LEFT}'), result.name, text]


def running_kernel():
    "The kernel of this notebook; None in a terminal."
    if 'IPython' not in sys.modules: return None
    return getattr(sys.modules['IPython'].get_ipython(), 'kernel', None)


def doctor():
    "Checks this machine. In a notebook, the line on sliders turns green when the page has answered."
    results = CheckResults(run_checks())
    if running_kernel() is None:
        print(repr(results))
        return
    from IPython.display import display

    def update_last(result: CheckResult):
        results[-1] = result
        handle.update(results)

    trip = RoundTrip(update_last)
    results.append(CheckResult('look', 'asked, no answer yet', name='Sliders'))
    handle = display(results, display_id=True)
    display(trip.play)
    trip.task = asyncio.get_running_loop().create_task(trip.run())
