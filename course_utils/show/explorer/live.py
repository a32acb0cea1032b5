"""The side of an explorer that JupyterLab shows: widgets, and what happens when one of them moves."""
from functools import partial

import cv2, ipywidgets as widgets, traitlets

from course_utils.config import CourseError
from course_utils.show.html import element


def jpeg(picture, quality=85) -> bytes:
    "A picture `(H, W, 3)` uint8 as a file: small enough to be sent at every move."
    _, data = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


# What the browser has sent is not sent back to it: an echo that comes late would pull the handle back while it is dragged.

class _FloatSlider(widgets.FloatSlider): value = traitlets.CFloat(0.).tag(sync=True, echo_update=False)


class _IntSlider(widgets.IntSlider): value = traitlets.CInt(0).tag(sync=True, echo_update=False)


class _Picture(widgets.Image): description = traitlets.Unicode('').tag(sync=True)


def _slider_widget(slider, value, label_width):
    "The widget of one slider."
    kind = _IntSlider if slider.is_integer else _FloatSlider
    readout = 'd' if slider.is_integer else f'.{slider.digits}f'
    layout = widgets.Layout(width='100%', max_width='560px', margin='2px 0')
    return kind(value=value, min=slider.min, max=slider.max, step=slider.step, description=slider.label,
                readout_format=readout, continuous_update=True, style=dict(description_width=label_width), layout=layout)


class Live:
    "The widgets of one explorer, and what happens when one moves."
    def __init__(self, explorer):
        self.explorer = explorer
        self.is_following = False  # true while the master moves the others: they then draw nothing themselves
        self._make_sliders()
        self.picture = _Picture(format='jpeg', layout=widgets.Layout(max_width='100%', height='auto', margin='6px 0 0'))
        self.sentence = widgets.HTML(layout=widgets.Layout(margin='4px 0 0', min_height='3em'))
        rows = list(self.sliders.values())
        if explorer.master: rows.insert(0, self.master)
        if explorer.title: rows.insert(0, widgets.HTML(element('b', explorer.title)))
        parts = [widgets.VBox(rows), self.picture, self.sentence]
        self.box = widgets.VBox(parts, layout=widgets.Layout(max_width='100%'))
        self.box.add_class('explorer-live')
        self.show()

    def _make_sliders(self):
        explorer = self.explorer
        longest = max(len(slider.label) for slider in explorer.all_sliders)
        label_width = f'{longest*.5 + 1:.1f}em'   # one width, so that all tracks begin at the same place
        self.sliders = {}
        for slider in explorer.sliders:
            widget = _slider_widget(slider, explorer.values[slider.name], label_width)
            widget.observe(partial(self._move, slider.name), 'value')
            self.sliders[slider.name] = widget
        if explorer.master:
            self.master = _slider_widget(explorer.master, explorer.master.value, label_width)
            self.master.observe(self._move_all, 'value')
            self.master.layout.margin = '2px 0 10px'   # set apart from those it moves

    def _move(self, name, change):
        "One slider has moved."
        if self.is_following: return
        self.explorer.values[name] = change['new']
        self.show()

    def _move_all(self, change):
        "The master has moved: one drawing, then the others follow."
        self.explorer.values = self.explorer.values_at(change['new'])
        self.show()
        self.is_following = True
        try:
            for name, widget in self.sliders.items(): widget.value = self.explorer.values[name]
        finally: self.is_following = False

    def show(self):
        "Draws the picture and says the sentence of the present values; an error is said, too, and the picture stays."
        try: data, shape, sentence = self.explorer.encode(tuple(self.explorer.values.items()))
        except CourseError as e: sentence = _one_line(e)
        except Exception as e: sentence = _one_line(f"This position could not be drawn: {type(e).__name__}: {e}")
        else: self._show_picture(data, shape, sentence)
        self.sentence.value = element(
            'div', sentence, class_='explorer-says', role='status', aria_live='polite', style='line-height:1.5')

    def _show_picture(self, data, shape, sentence):
        height, width, _ = shape
        with self.picture.hold_sync():
            self.picture.value = data
            self.picture.width = str(width)
            self.picture.height = str(height)
            self.picture.tooltip = f'{self.explorer.alt} {sentence}'.strip()


def _one_line(text) -> str: return ' '.join(str(text).split())
