# Copies of our viper primitives, each with a constant of 32 bits on its way.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# The primitives of lib/ hold no such constant (tests/viper_rules.py): wherever the linker puts them,
# they compute what they should. These copies do too, unless their constants are read two bytes
# off; then the known answers that each module tries first have to refuse it.

# The constants cancel out. Read two bytes off, each is its lower half above the instruction
# before it, and what remains is 0x77ff88.
_PLUS = " + 0x12345678 - 0x12345600 - 0x78"

# Name of the copy: (source below lib/, line, the line with constants)
COPIES = {
    "wide_begin": (
        "aesccm/aesccm/__init__.py",
        "        x[33 + i] = s[i]",
        "        x[33 + i] = s[i]" + _PLUS,
    ),
    "wide_finish": (
        "aesccm/aesccm/__init__.py",
        "        d[0] = v ^ k",
        "        d[0] = (v ^ k)" + _PLUS,
    ),
    "wide_reveal": (
        "aesccm/aesccm/__init__.py",
        "            d[0] = v ^ k",
        "            d[0] = (v ^ k)" + _PLUS,
    ),
    "wide_blocks": (
        "aesccm/aesccm/viper.py",
        "        x[0] = p[0] ^ k[0]",
        "        x[0] = (p[0] ^ k[0])" + _PLUS,
    ),
    "wide_sha": (
        "hkdf/hkdf/viper.py",
        "        w[0] = p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]",
        "        w[0] = (p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3])" + _PLUS,
    ),
}


def write(lib, folder):
    """Write the copies into a folder, where they are not there yet. ValueError when a primitive
    has no such line any more."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (source, old, new) in COPIES.items():
        text = (lib / source).read_text()
        if text.count("\n" + old + "\n") != 1:
            raise ValueError("%s has no line %r, which COPIES names" % (source, old.strip()))
        text = text.replace("\n" + old + "\n", "\n" + new + "\n")
        path = folder / (name + ".py")
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
