#!/bin/sh
# Installs what the tests against the real world need into the directory given, once: json-server from npm; httpx, standardwebhooks, langchain and slack_bolt from PyPI.
# curl, node, npm and python3 with venv come from the system. Doing it again costs nothing and needs no network.
set -eu
tools=$1
stamp=$tools/installed-$(cksum <"$0" | cut -d' ' -f1)
[ -e "$stamp" ] && exit 0
for needed in curl node npm python3; do
    command -v "$needed" >/dev/null || { echo "tests against the real world need $needed: apt-get install curl nodejs npm python3-venv" >&2; exit 1; }
done
mkdir -p "$tools"
npm install --prefix "$tools" --no-audit --no-fund --silent json-server@0.17.4
python3 -m venv "$tools/python"
"$tools/python/bin/pip" install --quiet --disable-pip-version-check httpx==0.28.1 standardwebhooks==1.1.0 langchain==1.5.2 langgraph==1.2.24 slack_bolt==1.30.0
touch "$stamp"
