#!/usr/bin/env bash
# install.sh [--where]: makes a virtual environment with Apache Airflow as requirements.lock names it, every package checked by its hash, and prints its path on the last line. One that is
# there already is only named. --where names the place and makes nothing; it fails if there is nothing. The place goes by the lock, so clones share it, and a new lock makes a new one: under
# /var/cache/switchback if root made it, for everybody to use, else under the user's own cache. It takes Python 3.10 to 3.13 with venv, 300 MB, and the package registry.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

shared=/var/cache/switchback
own=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/switchback
name=airflow-$(cat "$here/requirements.lock" "$here/uv.lock" | sha256sum | cut -c1-12)

complete() { [[ -f $1/complete && -x $1/bin/airflow ]] && "$1/bin/python" -c '' 2>/dev/null; }

for dir in "$shared/$name" "$own/$name"; do
  if complete "$dir"; then
    echo "$dir"
    exit 0
  fi
done
if [[ ${1:-} == --where ]]; then
  echo "install.sh: Airflow is not installed here: run deploy/need.sh airflow" >&2
  exit 1
fi

# Servers of tests that root runs are another user's: the environment, and the Python it points to, must be open to him. A Python below somebody's home rarely is.
python=
for p in /usr/bin/python3 /usr/bin/python3.1{3,2,1,0} /usr/local/bin/python3 "$(command -v python3 || true)"; do
  if [[ -x $p ]] && "$p" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
    python=$p
    break
  fi
done
if [[ -z $python ]] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  as_root=()
  [[ $(id -u) == 0 ]] || as_root=(sudo)
  if ! command -v apt-get >/dev/null || ! { [[ $(id -u) == 0 ]] || command -v sudo >/dev/null; }; then
    echo "install.sh: Airflow needs Python 3.10 to 3.13 with venv: install python3 and python3-venv" >&2
    exit 1
  fi
  echo "install.sh: Python with venv is missing: installing python3-venv with apt-get" >&2
  "${as_root[@]}" apt-get update -q >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 python3-venv >&2
  python=/usr/bin/python3
fi

root=$own
[[ $(id -u) != 0 ]] || root=$shared
umask 022
mkdir -p "$root"
exec 9>"$root/$name.lock"
flock 9 # two that come at once: the second finds it made
dir=$root/$name
if ! complete "$dir"; then
  echo "install.sh: installing Apache Airflow, as locked, into $dir" >&2
  rm -rf "$dir" # half made
  tools=$(mktemp -d)
  trap 'rm -rf "$tools"' EXIT
  "$python" -m venv "$tools"
  "$tools/bin/python" -m pip install -q --disable-pip-version-check --no-cache-dir --require-hashes --only-binary :all: -r "$here/uv.lock" >&2
  "$tools/bin/uv" venv -q --no-config --no-cache --python "$python" "$dir" >&2
  # Whoever runs it may not be able to write to it, so what Python would compile at each start is compiled here.
  "$tools/bin/uv" pip install -q --no-config --no-cache --python "$dir/bin/python" --require-hashes --only-binary :all: --compile-bytecode -r "$here/requirements.lock" >&2
  "$dir/bin/python" -c 'import airflow.version as v; print("install.sh: Airflow " + v.version + " is there")' >&2
  touch "$dir/complete"
fi
echo "$dir"
