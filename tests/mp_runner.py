# Runs one test function of one file under MicroPython.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: FILE NAME. Exit 0 passed, 1 failed (traceback on stderr), 77 skipped
# (the reason is the last line of stdout).

import sys


def main(path, name):
    folder, _, file = path.rpartition("/")
    sys.path.insert(1, folder)
    try:
        getattr(__import__(file[:-3]), name)()
    except SystemExit:
        raise
    except BaseException as e:
        if type(e).__name__ == "Skip":
            print(e)
            return 77
        sys.print_exception(e, sys.stderr)
        return 1
    return 0


sys.exit(main(sys.argv[1], sys.argv[2]))
