# Checks the subjects of commits: `area: Sentence with a capital and a full stop.`
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# Without arguments: every commit that HEAD has.

import re
import subprocess
import sys

SUBJECT = re.compile(r"^[a-z0-9_./,+ -]+: [A-Z0-9`'\"].*\.$")
WIDTH = 72


def faults(subject):
    if len(subject) > WIDTH:
        yield "longer than %d columns" % WIDTH
    if not SUBJECT.match(subject) and not subject.startswith(("Merge ", "Revert ")):
        yield "not of the form `area: Sentence with a capital and a full stop.`"


def main(argv):
    log = subprocess.run(
        ["git", "log", "--format=%h %s", *(argv or ["HEAD"])], capture_output=True, text=True
    )
    if log.returncode:
        print("commits not checked: " + log.stderr.strip().split("\n")[0])
        return 0
    bad = 0
    for line in log.stdout.splitlines():
        commit, _, subject = line.partition(" ")
        for fault in faults(subject):
            print("%s %s\n    %s" % (commit, subject, fault))
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
