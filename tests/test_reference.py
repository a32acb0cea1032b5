"""The site's reference of the rooms is the same with every Python."""
import pytest

from course_utils.classroom.compare import Wrong
from course_utils.config import CourseError
from course_utils.machine.server import PromptConnection
from course_utils.show.explorer import Explorer
from course_utils.training.batchnorm import FreezeBatchNorm
from course_utils.training.recipe import Recipe
from data_scripts.site import reference


@pytest.mark.parametrize('cls', [PromptConnection, FreezeBatchNorm, CourseError, Wrong])
def test_a_class_that_others_make_shows_what_it_inherits(cls, monkeypatch):
    def refuse(*args, **kwargs): raise NameError("name 'Self' is not defined")   # what Python 3.11.2 says of traitlets'
    monkeypatch.setattr(reference, 'show_doc', refuse)
    text = reference.documented(cls, 3)
    assert f'class {cls.__name__}({cls.__bases__[0].__name__})' in text
    assert text.startswith(f'### {cls.__name__}\n')


@pytest.mark.parametrize('cls, parameter', [(Recipe, 'arch'), (Explorer, 'draw')])
def test_a_class_of_ours_shows_its_parameters(cls, parameter):
    assert not reference.is_made_elsewhere(cls)
    assert parameter in reference.documented(cls, 3)


def test_a_function_is_no_class(): assert not reference.is_made_elsewhere(reference.documented)
