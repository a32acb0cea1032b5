"""The sliders of each lesson, one module a subject: what the techniques compute, drawn at every position of a slider."""
