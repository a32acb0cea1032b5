"""Data sets for `make data` and `make mirror`.

sources           what there is: where each data set lies, and how its archives become class folders
download          fetches archives, going on where it stopped
mirror_list       what a mirror holds: its manifest.json
archives          unpacks zip and tar archives that are not to be trusted
arrange           reads every picture once and moves it into its class folder
prepare           `make data`: all of that, into one whole folder or none
classroom_mirror  `make mirror`: a smaller version for a classroom
"""
