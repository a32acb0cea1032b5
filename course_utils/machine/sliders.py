"""Do sliders work here? A number goes to the page that shows the notebook, and must come back."""
import asyncio, random

from course_utils.machine.checks import CheckResult
from course_utils.machine.places import typed_command

NO_ANSWER = (f"Save, stop JupyterLab with Ctrl-C, start it by `{typed_command('lab')}` and reload the page. It must be the JupyterLab "
             "of the course's .venv: `.venv/bin/jupyter labextension list` has to show @jupyter-widgets/jupyterlab-manager, enabled.")


class RoundTrip:
    "Sends a number to the page that shows this notebook, and says what became of it."
    every_s = .5
    tries = 20

    def __init__(self,
        report,  # called with a `CheckResult` at every change
    ):
        import ipywidgets
        self.report = report
        self.number = random.randint(10**6, 10**9)
        self.is_back = False
        # one step from zero to the number; nobody needs to see the buttons
        hidden = ipywidgets.Layout(display='none')
        self.play = ipywidgets.Play(min=0, max=self.number, step=self.number, value=0, interval=0, layout=hidden)
        self.play.observe(self.answered, 'value')

    def answered(self, change: dict):
        "What the widget calls when the page has changed its value."
        if self.is_back or change['new'] != self.number: return
        self.is_back = True
        self.report(CheckResult('good', 'alive: a number went to this page and came back', name='Sliders'))

    async def run(self):
        "Asks until an answer comes: the view may not be drawn yet, or the kernel may have been busy."
        for _ in range(self.tries):
            if self.is_back: return
            self.play.playing = False
            self.play.playing = True
            await asyncio.sleep(self.every_s)
        if self.is_back: return
        waited_s = self.tries * self.every_s
        found = f'dead: in {waited_s:.0f} s this page sent nothing back (or no page shows this notebook)'
        self.report(CheckResult('bad', found, NO_ANSWER, name='Sliders'))
