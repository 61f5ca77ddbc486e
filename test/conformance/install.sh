#!/usr/bin/env bash
# install.sh: puts avn, by the hashes of avn.lock, into .cache/avn at the top of the tree, and sees to it that jq and curl are here. It does nothing if they are.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$(cd "$here/../.." && pwd)/.cache/avn
sum=$(sha256sum "$here/avn.lock" | cut -d' ' -f1)

packages=()
command -v jq >/dev/null || packages+=(jq)
command -v curl >/dev/null || packages+=(curl ca-certificates)
if [[ ! -x $venv/bin/avn ]]; then
  python3 -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || packages+=(python3-venv)
fi
if ((${#packages[@]})); then
  as_root=()
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || { echo "install.sh: ${packages[*]} missing, and neither root nor sudo is here: install them (python 3.10 or newer)" >&2; exit 1; }
    as_root=(sudo)
  fi
  command -v apt-get >/dev/null || { echo "install.sh: ${packages[*]} missing, and apt-get is not here: install them (python 3.10 or newer)" >&2; exit 1; }
  echo "install.sh: installing ${packages[*]} with apt-get"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
fi

[[ -f $venv/lock && $(cat "$venv/lock") == "$sum" ]] && exit 0
echo "install.sh: installing avn into $venv"
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --no-input --only-binary :all: --require-hashes -r "$here/avn.lock"
"$venv/bin/avn" --version
echo "$sum" >"$venv/lock"
