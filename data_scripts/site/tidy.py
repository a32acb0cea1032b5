"""Brings the notebooks and what is made from them into step: `make tidy`."""
import argparse

from course_utils.config import CourseError
from data_scripts.lessons.notebooks import clean_all
from data_scripts.site import write_cards, write_code, write_door, write_exercises, write_glossary


def main(arguments=None):
    "Exports the techniques, writes exercises, words, shown code and measured cards into the lessons, cleans every notebook as it lies."
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    from nbdev.doclinks import nbdev_export  # here: only who writes lessons has nbdev
    try: nbdev_export()
    except Exception as error: raise CourseError(f'Nothing was tidied, as a notebook is not whole: {error}') from None
    write_exercises.main([])
    write_glossary.main([])
    write_code.main([])
    write_door.main([])
    write_cards.main([])
    print(f'Cleaned {clean_all()} notebooks.')
