#!/usr/bin/env bash
# axe.sh DIR: fetches axe-core, of one version and with that very content, from npm's registry into DIR/axe.min.js, if it is not there. It is not committed: its licence is another one.
set -euo pipefail
version=4.14.1
sum=FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==
dir=$1
[[ -e $dir/axe.min.js && $(cat "$dir/axe.version" 2>/dev/null) == "$version" ]] && exit 0
command -v npm >/dev/null || { echo "axe.sh: npm is not here, and axe-core is fetched by it: install npm, or put axe.min.js of axe-core $version into $dir with axe.version saying $version" >&2; exit 1; }
mkdir -p "$dir"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && npm pack --silent "axe-core@$version" >/dev/null)
got=$(openssl dgst -sha512 -binary "$tmp/axe-core-$version.tgz" | openssl base64 -A)
[[ $got == "$sum" ]] || { echo "axe.sh: axe-core $version has the digest $got, want $sum: nothing is used of it" >&2; exit 1; }
tar -xzf "$tmp/axe-core-$version.tgz" -C "$tmp" package/axe.min.js
mv "$tmp/package/axe.min.js" "$dir/axe.min.js"
echo "$version" > "$dir/axe.version"
