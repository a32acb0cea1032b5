#!/usr/bin/env bash
# Question: A FloatText or FloatProgress shows an accuracy that is nan (no
#   picture of the class yet). What does the page get from the kernel?
# Guess, before the run: null, or the token NaN; in any case the same on
#   every machine.
# Seen: The text 'nan', a string. With the package orjson installed it is
#   null instead. So the type depends on a package nobody asked for:
#   jupyter_client picks orjson when it finds it; otherwise it falls back
#   from strict JSON to repr. Infinity turns to 'inf' or null likewise.
# Version: seen with jupyter_client 8.10.0, ipywidgets 8.1.9, orjson 3.13.0.
# What a course should do: Never put nan or infinity into a widget's value
#   or a display message. Show a dash in a Label for 'not known yet'. Test
#   widget states with math.isfinite.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    ipywidgets==8.1.9 \
    jupyter_client==8.10.0

cd "$work"
"$work/venv/bin/python" - <<'PY'
import json
import subprocess
import sys

code = """
import json, math
import ipywidgets
from jupyter_client.session import Session
s = Session(key=b'k')
state = ipywidgets.FloatText(value=math.nan).get_state()
out = json.loads(s.pack({'value': state['value'], 'more': [math.inf, 0.5]}))
print(json.dumps([s.packer, out]))
"""
run = lambda: json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
without = run()
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "orjson==3.13.0"], check=True)
with_orjson = run()
print("expected: the same non-text value both times")
print("seen: without orjson", without, "with orjson", with_orjson)
assert without == ["json", {"value": "nan", "more": ["inf", 0.5]}], without
assert with_orjson == ["orjson", {"value": None, "more": [None, 0.5]}], with_orjson
PY
