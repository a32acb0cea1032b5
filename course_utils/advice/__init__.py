"""What `recommend` says of a folder of pictures.

findings   one function for each thing that is looked at
plan       the recipe that fits
choice     its two halves, and which of them is kept
notebook   the notebook that is written into the folder, from `template.md`
advice     all three in one call, and the table that shows them
command    all of it from a terminal, and the recipe run to its page
example    a folder with trouble, for those who have none
"""
from course_utils.advice.advice import Advice, recommend

__all__ = ['Advice', 'recommend']
