# The verb codegen: makes the module of an object from its XML.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA LwM2M Core 1.2.2 appendix D (objects and their definition files)

import keyword
import os
import re
import sys
from xml.etree import ElementTree

from .errors import Refused, UsageError

# Flags and types as lib/lwm2m/lwm2m/model.py and types.py have them. They are written into the
# module as constants of its own: a table of nothing but constants stays in flash.
FLAGS = {"R": 1, "W": 2, "RW": 3, "E": 4, "MULTI": 8, "MANDATORY": 16}
TYPES = {
    "String": ("STRING", 0, '""'),
    "Integer": ("INTEGER", 1, "0"),
    "Unsigned Integer": ("UNSIGNED", 2, "0"),
    "Float": ("FLOAT", 3, "0.0"),
    "Boolean": ("BOOLEAN", 4, "False"),
    "Opaque": ("OPAQUE", 5, 'b""'),
    "Time": ("TIME", 6, "0"),
    "Objlnk": ("OBJLNK", 7, "(65535, 65535)"),
    "Corelnk": ("CORELNK", 8, '""'),
}
# What a row cannot be called: the names of Instance, and Python's.
TAKEN = {"OID", "VERSION", "VERSION_1_1", "MULTIPLE", "CREATE", "TABLE", "iid", "model", "changed", "set"}
TAKEN |= {"validate", *keyword.kwlist}


def add_parser(subparsers):
    p = subparsers.add_parser(
        "codegen",
        help="make an object's module from its XML",
        description="Write the Python module of an LwM2M object, from the XML in which the OMA's"
        " registry, or you, define it: its table, with a value for each resource that must be there.",
        allow_abbrev=False,
    )
    p.add_argument("xml", metavar="XML", help="the object's definition; - reads it from stdin")
    p.add_argument("-o", "--output", metavar="FILE", help="write there, in place of stdout")
    p.add_argument("--force", action="store_true", help="overwrite FILE")
    p.add_argument("--name", metavar="CLASS", help="the name of the class; the object's by default")
    p.add_argument(
        "--resources",
        metavar="IDS",
        help="comma-separated IDs of optional resources to keep (none: an empty text); all by default",
    )
    p.set_defaults(run=run)


def _text(element, tag):
    return " ".join((element.findtext(tag) or "").split())


def _number(text, what, most=65535):
    if not text.isdecimal() or int(text) > most:
        raise Refused("%s: %r is no ID, 0 to %d" % (what, text, most))
    return int(text)


def _words(name):
    # "Min. Measured Value (°C)" -> min, measured, value, c
    return re.findall(r"[a-z0-9]+", name.lower())


class Resource:
    """One <Item>: number, name as an attribute, flags (names), type (None for E), comment."""

    def __init__(self, item):
        self.rid = _number(item.get("ID", "").strip(), "a resource's ID")
        where = "resource %d" % self.rid
        operations = _text(item, "Operations").upper()
        if operations not in ("", "R", "W", "RW", "E"):
            raise Refused("%s: unknown operations %r" % (where, operations))
        self.flags = [operations] if operations else []
        several = _text(item, "MultipleInstances")
        if several not in ("Single", "Multiple"):
            raise Refused("%s: MultipleInstances is %r, not Single or Multiple" % (where, several))
        if several == "Multiple":
            self.flags.append("MULTI")
        self.mandatory = _text(item, "Mandatory") == "Mandatory"
        if self.mandatory:
            self.flags.append("MANDATORY")
        self.type = None
        typ = _text(item, "Type")
        if operations != "E":
            if typ not in TYPES:
                raise Refused("%s: unknown type %r" % (where, typ))
            self.type = typ
        words = _words(_text(item, "Name")) or ["resource", str(self.rid)]
        if words[0][0].isdigit():
            words.insert(0, "r")
        self.name = "_".join(words)
        notes = (_text(item, "RangeEnumeration"), _text(item, "Units"))
        self.comment = ", ".join(note for note in notes if note)

    def row(self):
        flags = " | ".join("_" + flag for flag in self.flags) or "0"
        typ = "_" + TYPES[self.type][0] if self.type else "None"
        value = ", " + self.default() if self.mandatory and self.type else ""
        line = '        (%d, %s, %s, "%s"%s),' % (self.rid, flags, typ, self.name, value)
        room = 99 - len(line) - 4
        if self.comment and room > 8:
            cut = self.comment if len(self.comment) <= room else self.comment[: room - 3] + "..."
            line += "  # " + cut
        return line

    def default(self):
        return "()" if "MULTI" in self.flags else TYPES[self.type][2]


class Object:
    """One <Object> of a definition: number, name, version, several, resources that ascend."""

    def __init__(self, element):
        self.oid = _number(_text(element, "ObjectID"), "ObjectID", 42768)
        self.title = _text(element, "Name") or "Object %d" % self.oid
        self.version = _text(element, "ObjectVersion") or "1.0"
        if not re.fullmatch(r"\d+\.\d+", self.version):
            raise Refused("ObjectVersion: %r is no version as 1.0" % self.version)
        self.multiple = _text(element, "MultipleInstances") == "Multiple"
        items = element.find("Resources")
        self.resources = [Resource(item) for item in (items.findall("Item") if items is not None else ())]
        if not self.resources:
            raise Refused("object %d has no resources" % self.oid)
        self.resources.sort(key=lambda r: r.rid)
        for one, next_ in zip(self.resources, self.resources[1:]):
            if one.rid == next_.rid:
                raise Refused("resource %d is there twice" % one.rid)
        self.name_all()

    def name_all(self):
        # Where two would have one name, each gets its number.
        names = [r.name for r in self.resources]
        for resource in self.resources:
            if names.count(resource.name) > 1 or resource.name in TAKEN:
                resource.name += "_%d" % resource.rid

    def keep(self, wanted):
        """Drop the optional resources that are not wanted. Refused for one that is unknown."""
        unknown = wanted - {r.rid for r in self.resources}
        if unknown:
            raise UsageError("--resources: object %d has no %d" % (self.oid, min(unknown)))
        self.resources = [r for r in self.resources if r.mandatory or r.rid in wanted]

    def class_name(self):
        words = _words(self.title)
        name = "".join(word.capitalize() for word in words) or "Object"
        return name if not name[0].isdigit() else "Object" + name

    def module(self, name=None):
        """The text of the module."""
        used = [f for f in FLAGS if any(f in r.flags for r in self.resources)]
        types = [t for t in TYPES if any(t == r.type for r in self.resources)]
        lines = [
            "# %s (/%d): made from its definition; what a product does goes into a subclass."
            % (self.title, self.oid),
            "# LwM2M object %d, version %s" % (self.oid, self.version),
            "",
            "from micropython import const",
            "from lwm2m import Instance",
            "",
        ]
        lines += ["_%s = const(%d)" % (f, FLAGS[f]) for f in used]
        lines += [""] if used and types else []
        lines += ["_%s = const(%d)" % TYPES[t][:2] for t in types]
        lines += ["", "", "class %s(Instance):" % (name or self.class_name())]
        lines += ["    OID = %d" % self.oid]
        if self.version != "1.0":
            lines.append('    VERSION = "%s"' % self.version)
        if self.multiple:
            lines.append("    MULTIPLE = True")
        lines += ["    TABLE = (", *(r.row() for r in self.resources), "    )"]
        fields = [r for r in self.resources if r.type and not r.mandatory]
        if fields:
            lines += ["", "    # Optional: None, and not there, until it has a value"]
            lines += ["    #   %s" % r.name for r in fields]
        methods = [r for r in self.resources if not r.type]
        if methods:
            lines += ["", "    # Executed; 4.04 without a method of this name in the subclass"]
            lines += ["    #   %s(self, arguments)" % r.name for r in methods]
        return "\n".join(lines) + "\n"


def parse(data):
    """The Object in the text of a definition. Refused for what is none."""
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as e:
        raise Refused("not XML: %s" % e) from None
    objects = [root] if root.tag == "Object" else root.findall("Object")
    if len(objects) != 1:
        raise Refused("not the definition of one object: %d elements <Object>" % len(objects))
    return Object(objects[0])


def _wanted(text):
    wanted = set()
    for part in text.split(","):
        part = part.strip()
        if part:
            if not part.isdecimal():
                raise UsageError("--resources: %r is no resource's ID" % part)
            wanted.add(int(part))
    return wanted


def run(args):
    """microlwm2m codegen"""
    if args.name is not None and (not args.name.isidentifier() or keyword.iskeyword(args.name)):
        raise UsageError("--name: %r cannot be the name of a class" % args.name)
    if args.xml == "-":
        data = sys.stdin.buffer.read()
    else:
        with open(args.xml, "rb") as f:
            data = f.read()
    definition = parse(data)
    if args.resources is not None:
        definition.keep(_wanted(args.resources))
        if not definition.resources:
            raise UsageError("--resources: nothing is left of object %d" % definition.oid)
    text = definition.module(args.name)
    if not args.output:
        sys.stdout.write(text)
        return
    if os.path.exists(args.output) and not args.force:
        raise Refused("%s is there already; --force overwrites it" % args.output)
    with open(args.output, "w", encoding="utf-8") as f:
        f.write(text)
