# Fuzzes one target under CPython, led by coverage (Atheris, which is libFuzzer for Python).
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# argv: TARGET COUNT SEED CORPUS [libFuzzer's options]. CORPUS: a folder whose inputs are run
# first, and where those go that reach something new. Exit 0: no finding. A finding ends the
# run with its traceback, and its input is in a file crash-... in the folder above CORPUS.
# `fuzz_host.py TARGET - - FILE` runs the one input in FILE.

import sys
from pathlib import Path

import fuzz_shim

fuzz_shim.install()

import atheris  # noqa: E402

UNDER_TEST = ["cbor", "coap", "oscore", "hkdf", "lwm2m"]


def main(name, count, seed, corpus, *options):
    with atheris.instrument_imports(include=UNDER_TEST):
        import fuzz_targets

        target = fuzz_targets.make(name)
    if count == "-":
        return target(Path(corpus).read_bytes())
    folder = Path(corpus)
    folder.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(target.seeds()):
        (folder / ("seed-%03d" % i)).write_bytes(data)
    arguments = [
        sys.argv[0], "-atheris_runs=" + count, "-seed=" + seed, "-max_len=600", "-timeout=20",
        "-print_final_stats=1", "-artifact_prefix=%s/" % folder.parent, *options, str(folder),
    ]  # fmt: skip
    atheris.Setup(arguments, target)
    atheris.Fuzz()


main(*sys.argv[1:])
