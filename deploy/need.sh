#!/usr/bin/env bash
# need.sh [prometheus | airflow | avn]: makes sure that PostgreSQL's programs and iproute2's ip are here: tests and the demo run real servers, in regions with a network of their own. With
# prometheus also prometheus and promtool, which tests of the metrics export push to; with airflow also Apache Airflow, by airflow/install.sh; with avn also Aiven's own command line,
# in .cache/avn, jq and curl, which tests of the Aiven-compatible API call. It says what it does, and does nothing if they are.
# It needs root, or a user who may sudo, only if it has to install. It leaves no server running and no cluster made.
set -euo pipefail

# With chromium: Debian's browser, and axe-core in .cache, which the console is tested with.
if [[ ${1:-} == chromium ]]; then
  "$0"
  if ! command -v chromium >/dev/null; then
    as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo)
    command -v apt-get >/dev/null || { echo "need.sh: chromium is missing, and apt-get is not here: install chromium" >&2; exit 1; }
    echo "need.sh: chromium is missing: installing it with apt-get"
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core
  fi
  "$(dirname "$0")/../test/browser/axe.sh" "$(dirname "$0")/../.cache"
  exit 0
fi

if [[ ${1:-} == airflow ]]; then
  "$0"
  "$(dirname "$0")/airflow/install.sh" >/dev/null # where it is, install.sh --where says
  exit 0
fi

if [[ ${1:-} == avn ]]; then
  "$0"
  "$(dirname "$0")/../test/conformance/install.sh"
  exit 0
fi

found() {
  local dir
  for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin /opt/homebrew/opt/postgresql@*/bin; do
    [[ -x $dir/postgres && -x $dir/initdb && -x $dir/pg_basebackup ]] && return 0
  done
  command -v postgres >/dev/null && command -v initdb >/dev/null && command -v pg_basebackup >/dev/null
}

watched() { [[ ${1:-} != prometheus ]] || { command -v prometheus && command -v promtool; } >/dev/null; }

found && command -v ip >/dev/null && watched "$@" && exit 0

as_root=()
if [[ $(id -u) != 0 ]]; then
  command -v sudo >/dev/null || { echo "need.sh: PostgreSQL or iproute2 is missing, and neither root nor sudo is here: install postgresql (15 or newer) and iproute2" >&2; exit 1; }
  as_root=(sudo)
fi

if found && command -v ip >/dev/null; then
  if ! command -v apt-get >/dev/null; then
    echo "need.sh: prometheus and promtool are missing, and apt-get is not here: install them, and stop the service if one was started" >&2
    exit 1
  fi
  echo "need.sh: prometheus is missing: installing it with apt-get, without its service"
  # Debian starts a service that it installs unless this file says no; it goes away again.
  policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
  fi
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends prometheus
  if command -v systemctl >/dev/null; then "${as_root[@]}" systemctl disable -q prometheus 2>/dev/null || true; fi
  watched "$@" || { echo "need.sh: installed, but prometheus and promtool are still not found" >&2; exit 1; }
  exit 0
fi

if command -v apt-get >/dev/null; then
  echo "need.sh: PostgreSQL or iproute2 is missing: installing postgresql and iproute2 with apt-get, without a default server"
  # Debian makes a cluster and starts it unless told otherwise; the drop-in that tells it goes away again.
  drop=/etc/postgresql-common/createcluster.d/switchback-need.conf
  trap '"${as_root[@]}" rm -f "$drop"' EXIT
  "${as_root[@]}" mkdir -p "$(dirname "$drop")"
  echo 'create_main_cluster = false' | "${as_root[@]}" tee "$drop" >/dev/null
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql iproute2
elif command -v dnf >/dev/null; then
  echo "need.sh: PostgreSQL or iproute2 is missing: installing postgresql-server and iproute with dnf"
  "${as_root[@]}" dnf install -y postgresql-server postgresql iproute
else
  echo "need.sh: PostgreSQL or iproute2 is missing, and neither apt-get nor dnf is here: install postgresql (15 or newer) and iproute2" >&2
  exit 1
fi

found || { echo "need.sh: installed, but postgres, initdb and pg_basebackup are still not found" >&2; exit 1; }
watched "$@" || "$0" "$@"
