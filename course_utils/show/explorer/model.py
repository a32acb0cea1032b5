"""What an explorer is: sliders, and a function that draws a picture and says a sentence for every position of theirs."""
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import ipywidgets as widgets, numpy as np

from course_utils.config import CourseError
from course_utils.show.explorer.live import Live, jpeg
from course_utils.show.explorer.page import page
from course_utils.show.html import widget_bundle


@dataclass
class Slider:
    "One thing to move. If `min`, `max`, `step` and `value` are all whole (`int`), so is what `draw` receives."
    name: str           # the keyword that `draw` receives
    label: str          # what the learner reads beside it
    min: float = 0.     # leftmost position
    max: float = 1.     # rightmost position
    step: float = .05   # distance between two positions
    value: float = 0.   # where it starts

    def __post_init__(self):
        if not self.min < self.max:
            raise CourseError(f"Slider '{self.name}' runs from {self.min} to {self.max}, but min must be less than max.")
        if not self.step > 0: raise CourseError(f"Slider '{self.name}' has step {self.step}, but a step must be greater than 0.")
        self.check(self.value)

    def check(self, value):
        "Return `value`, or raise `CourseError` where it is not within `min`..`max`."
        if not self.min <= value <= self.max:
            raise CourseError(f"Slider '{self.name}' is set to {value}, but must be from {self.min} to {self.max}.")
        return value

    @property
    def is_integer(self) -> bool:
        "Whether every position is an `int`."
        numbers = self.min, self.max, self.step, self.value
        return all(isinstance(number, int) for number in numbers)

    @property
    def digits(self) -> int:
        "Decimals needed to tell two positions apart, 6 at most."
        if self.is_integer: return 0
        for digits in range(6):
            if math.isclose(round(self.step, digits), self.step): return digits
        return 6

    def positions(self,
        limit: int=41  # where there are more positions than this, every second (third, ...) one is taken
    ) -> list:
        "The positions from left to right, evenly spaced. The start `value` is among them; so is `min`, unless that takes a far coarser grid."
        n_steps = math.floor((self.max - self.min)/self.step + 1e-9)
        start = round((self.value - self.min)/self.step)
        stride = max(1, math.ceil(n_steps/(limit - 1)))
        with_both_ends = (k for k in range(stride, 2*stride) if start % k == 0)
        stride = next(with_both_ends, stride)
        return [self._position(k) for k in range(start % stride, n_steps + 1, stride)]

    def _position(self, k):
        "The position `k` steps from the left."
        if self.is_integer: return self.min + k*self.step
        return round(self.min + k*self.step, 10)

    def nearest(self, value):
        "What this slider can show that is nearest to `value`."
        position = min(max(value, self.min), self.max)
        return round(position) if self.is_integer else position

    def show(self, value) -> str:
        "`value` as the learner reads it."
        return f'{value:.{self.digits}f}'


def _check_drawing(result) -> tuple:
    "Picture and sentence that `draw` returned. Raises `CourseError` where it is anything else."
    try: picture, sentence = result
    except (TypeError, ValueError): raise CourseError("draw must return two things: a picture and a sentence.") from None
    is_bytes = isinstance(picture, np.ndarray) and picture.dtype == np.uint8
    if not (is_bytes and picture.ndim == 3 and picture.shape[2] == 3):
        raise CourseError("draw must return its picture as a uint8 array of shape (H, W, 3).")
    return picture, str(sentence)


class Explorer:
    "A picture and a sentence that follow sliders: live in JupyterLab, and as a figure that needs no kernel on a page."
    def __init__(self,
        draw,                           # called with a value for every slider; returns a picture (uint8 RGB, (H, W, 3)) and a sentence. Same values, same result
        sliders: list,                  # one `Slider` or more
        *,
        alt: str,                       # what the picture shows, for those who do not see it
        title: str = '',                # a line above
        master: Slider | None = None,   # a slider that moves all the others; its value is where all of them start
    ):
        if not sliders: raise CourseError("An explorer needs at least one slider.")
        names = [slider.name for slider in sliders]
        if len(set(names)) < len(names): raise CourseError(f"Every slider needs a name of its own, but these were given: {', '.join(names)}.")
        self.draw = draw
        self.sliders = list(sliders)
        self.alt = alt
        self.title = title
        self.master = master
        self.start = self.values_at(master.value) if master else {slider.name: slider.value for slider in sliders}
        self.values = dict(self.start)   # where the live sliders stand now
        self.encode = lru_cache(maxsize=64)(self._encode)

    @property
    def all_sliders(self) -> list:
        "The master, where there is one, and the others."
        return [self.master, *self.sliders] if self.master else self.sliders

    def values_at(self, value) -> dict:
        "Every slider at `value`, or as near as its own range allows: what the master does."
        return {slider.name: slider.nearest(value) for slider in self.sliders}

    def draw_at(self, **values):
        "Picture and sentence at these values; sliders not named stay at their start."
        by_name = {slider.name: slider for slider in self.sliders}
        for name, value in values.items():
            if name not in by_name: raise CourseError(f"There is no slider '{name}'; there are {', '.join(by_name)}.")
            by_name[name].check(value)
        return _check_drawing(self.draw(**{**self.start, **values}))

    def _encode(self, items: tuple):  # (name, value) of every slider
        "What the live side sends: picture as a JPEG, its shape, and the sentence. A position seen before is not drawn again."
        picture, sentence = self.draw_at(**dict(items))
        return jpeg(picture), picture.shape, sentence

    @cached_property
    def _live(self): return Live(self)

    @cached_property
    def _html(self): return page(self)

    @property
    def widget(self) -> widgets.VBox:
        "The live side."
        return self._live.box

    def html(self) -> str:
        "The page side: a `<figure>` that needs no kernel, no library and no network. Drawn once."
        return self._html

    def __repr__(self): return f'{self.title}: {self.alt}' if self.title else self.alt

    def _repr_mimebundle_(self, **_):
        return widget_bundle(self.widget, self.html(), repr(self))
