#!/bin/sh
# Builds the Leshan peer into build/leshan-peer/: lib/ (Leshan's jars from Maven
# Central) and cls/ (our classes). Does nothing where both are newer than their sources.
# MIT license; Copyright (c) 2026 the microlwm2m authors
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../../build/leshan-peer}
mkdir -p "$out"

fresh() { # fresh STAMP FILE...: the stamp is there and no file is newer
  stamp=$1
  shift
  [ -e "$stamp" ] && [ -z "$(find "$@" -newer "$stamp" | head -n 1)" ]
}
is_fresh() { fresh "$out/lib/.done" "$here/pom.xml" && fresh "$out/cls/.done" "$here"/*.java "$out/lib/.done"; }

is_fresh && exit 0

missing=
command -v java >/dev/null && command -v javac >/dev/null || missing=" default-jdk-headless"
command -v mvn >/dev/null || missing="$missing maven"
if [ -n "$missing" ]; then
  echo "the Leshan peer needs a JDK (11 or newer) and Maven: apt install$missing" >&2
  exit 3
fi

# Two runs at once must not mix their files: the second waits here, then finds all done.
if command -v flock >/dev/null; then
  exec 9>"$out/.lock"
  flock 9
  is_fresh && exit 0
fi

if ! fresh "$out/lib/.done" "$here/pom.xml"; then
  echo "leshan peer: fetching the jars with Maven" >&2
  rm -rf "$out/lib"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$(cd "$out" && pwd)/lib" >&2 ||
    { echo "leshan peer: Maven could not fetch the jars (see above)" >&2; exit 1; }
  touch "$out/lib/.done"
fi

echo "leshan peer: compiling" >&2
rm -rf "$out/cls"
javac --release 11 -Xlint:all,-processing,-classfile,-serial -Werror -cp "$out/lib/*" -d "$out/cls" "$here"/*.java
touch "$out/cls/.done"
