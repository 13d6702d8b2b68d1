#!/bin/sh
# Builds a doorbell that needs no shared library, and puts it where the first argument says. The second one, if any, is
# the profile (default: dist). Linux with glibc; glibc 2.34 or later has what resolving names needs within itself.
set -eu
to=$1
profile=${2:-dist}
host=$(rustc -vV | sed -n 's/^host: //p')
folder=$profile
[ "$profile" = dev ] && folder=debug
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --locked --package doorbell --profile "$profile" --target "$host"
binary=${CARGO_TARGET_DIR:-target}/$host/$folder/doorbell
# A promise of the image: it is checked where it is made.
if ldd "$binary" 2>/dev/null | grep -q '=>'; then
    echo "$binary still wants shared libraries" >&2
    exit 1
fi
mkdir -p "$(dirname "$to")"
if [ "$profile" = dev ]; then cp "$binary" "$to"; else strip -o "$to" "$binary"; fi
"$to" --version
