"""What a learner does beside running cells.

exercise    what an exercise is, and how it is found; `course_utils.exercises` holds them
compare     what checks ask of a value
time_limit  ends a check that takes too long
answers     the record on the learner's own disk
checker     `check`, `hint`, `solution`, `progress`
guesses     a guess before a measurement, a card after it
glossary    the words of the course
"""
