# Puts files into the root of an image's file system: install.py IMAGE FILE...
# MIT license; Copyright (c) 2026 the microlwm2m authors

import sys

import flashfile

image, *paths = sys.argv[1:]
texts = []
for path in paths:
    with open(path) as f:
        texts.append(f.read())
flashfile.mount(image)
for path, text in zip(paths, texts):
    with open(path.rsplit("/", 1)[1], "w") as f:
        f.write(text)
