# agree.py under the unix port: runs each line of stdin, as a board's REPL does.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: the folder of the cases, which is not used here: load() is told.

import sys

sys.path.insert(1, __file__.rpartition("/")[0])
import agree  # noqa: E402

names = {"agree": agree}
while True:
    line = sys.stdin.readline()
    if not line:
        break
    try:
        exec(line, names)
    except Exception as e:
        sys.print_exception(e)
    print("\x04")
