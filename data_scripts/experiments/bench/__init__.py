"""The course's code and its peers side by side, on this machine, in one run: `make bench`. A file a group of rows; `command` has the table."""
