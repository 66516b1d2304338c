#!/usr/bin/env bash
# What a pull request changes, in Markdown and pictures: report.sh BASE [FOLDER]
#
# BASE is the branch or commit to compare with; FOLDER (default: report) gets report.md, data.png and
# plots/index.html. Results come from the DVC remote: nothing is trained.
set -euo pipefail
base=$(git merge-base "$1" HEAD)
out=${2:-report}
mkdir -p "$out"

# What the comparison reads: raw data, manifest, metrics and plots, and no features or tensors.
dvc pull --quiet --with-deps clean
dvc pull --quiet normalize train evaluate

# The same of the base, into the same cache, by way of a second working tree.
cache=$(dvc cache dir)
other=$(mktemp -d)
trap 'git worktree remove --force "$other/base"; rm -rf "$other"' EXIT
git worktree add --quiet --detach "$other/base" "$base"
if [ -f .dvc/config.local ]; then cp .dvc/config.local "$other/base/.dvc/"; fi
(
  cd "$other/base"
  dvc cache dir --quiet --local "$cache"
  dvc fetch --quiet --with-deps clean
  dvc fetch --quiet train evaluate
)

part() { printf '\n### %s\n\n' "$1"; }
as_text() { printf '```\n' && cat && printf '```\n'; }
{
  printf '## %s against %s\n' "$(git rev-parse --short HEAD)" "$(git rev-parse --short "$base")"
  part "Metrics" && dvc metrics diff --md "$base"
  part "Params" && dvc params diff --md "$base"
  part "Data" && rootstock data diff "$base" --sheet "$out/data.png" | as_text
} >"$out/report.md"
dvc plots diff --out "$out/plots" "$base" >"$out/plots.log"
rm "$out/plots.log"
