"""The exercises, one module a lesson. Whoever wants to solve them stops reading here.

An exercise is a class of `ex_NN.py`: its docstring is the task, then come three hints, what the learner finds (`start`),
a solution, known wrong answers with words of the sentence they are answered with, and the `check`. A new one is found by
itself; `make tidy` writes it into its lesson, and tests/test_exercises.py runs all of its code: start and wrong answers
must fail, the solution must pass, and every condition of the check must be needed by some wrong answer.
Beside them stand the quantities of the lesson that can be guessed."""
