#!/usr/bin/env bash
# What a pull request changes, in Markdown and pictures: report.sh BASE [FOLDER]
#
# BASE is the branch or commit to compare with; FOLDER (default: report) gets report.md, data.png and
# plots/index.html. Results come from the DVC remote: nothing is trained.
set -euo pipefail
base=$(git rev-parse --short "$(git merge-base "$1" HEAD)")
out=${2:-report}
mkdir -p "$out"
log=$(cd "$out" && pwd)/log.txt

# DVC's --quiet would hide what went wrong, too.
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }; }

# What the comparison reads: raw data, manifest and plots, and no features or tensors. Metrics are in git.
quietly dvc pull --with-deps clean
quietly dvc pull normalize train evaluate

# The same of the base, into the same cache, by way of a second working tree.
cache=$(dvc cache dir)
other=$(mktemp -d)
trap 'git worktree remove --force "$other/base"; rm -rf "$other"' EXIT
git worktree add --quiet --detach "$other/base" "$base"
if [ -f .dvc/config.local ]; then cp .dvc/config.local "$other/base/.dvc/"; fi
(
  cd "$other/base"
  dvc cache dir --quiet --local "$cache"
  quietly dvc fetch --with-deps clean
  quietly dvc fetch train evaluate
)

part() { printf '\n### %s\n\n' "$1"; }
as_text() { printf '```\n' && cat && printf '```\n'; }
params() {
  local found
  found=$(dvc params diff --md "$base")
  if [ "$(wc -l <<<"$found")" -gt 2 ]; then printf '%s\n' "$found"; else printf 'No param changed.\n'; fi
}
{
  printf '## %s against %s\n' "$(git rev-parse --short HEAD)" "$base"
  part "Metrics" && rootstock metrics diff "$base"
  part "Params" && params
  part "Data" && rootstock data diff "$base" --sheet "$out/data.png" | as_text
} >"$out/report.md"
quietly dvc plots diff --out "$out/plots" "$base"
rm "$log"
