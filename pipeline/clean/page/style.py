"""The looks of the cleaning report: one style sheet, light or dark as the reader's screen is."""

CSS = """\
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #ffffff; --ink: #1d232b; --soft: #5d6875; --line: #e1e5ea;
  --track: #eceff3; --accent: #2f6db3; --good: #2e8058; --warn: #9a6100; --bad: #b23a48;
  --good-wash: #e6f3ec; --warn-wash: #fdf3de; --bad-wash: #fbe9eb; --shade: #dfe3e8;
  --train: #2f6db3; --val: #c77518; --test: #2f9160;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161b; --card: #1a2027; --ink: #e6eaef; --soft: #9aa6b3; --line: #2b333d;
    --track: #252d36; --accent: #78aee6; --good: #6cc396; --warn: #e4b25a; --bad: #ef8a94;
    --good-wash: #17301f; --warn-wash: #352a12; --bad-wash: #3a1d21; --shade: #0c0f13;
    --train: #6ea6e0; --val: #e3a14f; --test: #62c193;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%;
}
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0; letter-spacing: -0.015em; }
h2 { font-size: 1.2rem; margin: 0 0 0.35rem; letter-spacing: -0.01em; }
h3 { font-size: 0.95rem; margin: 1.25rem 0 0.3rem; }
h3:first-child { margin-top: 0; }
p { margin: 0 0 0.75rem; max-width: 46rem; }
code { font: 0.88em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
a { color: var(--accent); }
section > :last-child { margin-bottom: 0; }
.soft { color: var(--soft); }
.lead { color: var(--soft); margin: 0.35rem 0 1.5rem; }
.lead code { color: var(--ink); }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.25rem 1.35rem 1.35rem; margin-top: 1.1rem;
}
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 0.8rem; }
.tile {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 0.85rem 1rem;
}
.tile b {
  display: block; font-size: 1.8rem; line-height: 1.15; font-weight: 650;
  font-variant-numeric: tabular-nums; letter-spacing: -0.02em;
}
.tile span { color: var(--soft); font-size: 0.86rem; }
.tile.good b { color: var(--good); }
.tile.warn b { color: var(--warn); }
.tile.bad b { color: var(--bad); }
.whole { display: flex; gap: 2px; height: 10px; margin: 1rem 0 0; border-radius: 5px;
  overflow: hidden; }
.whole i { display: block; min-width: 3px; }
.whole .kept { background: var(--good); }
.whole .dropped { background: var(--warn); }
.whole .quarantined { background: var(--bad); }
.checks { display: flex; flex-wrap: wrap; gap: 0.45rem; margin-top: 1rem; padding: 0;
  list-style: none; }
.checks li, .checks a {
  border-radius: 999px; padding: 0.15rem 0.75rem; font-size: 0.86rem; text-decoration: none;
}
.checks li { background: var(--good-wash); color: var(--good); }
.checks li.some { padding: 0; background: var(--warn-wash); }
.checks li.some a { display: block; color: var(--warn); font-weight: 600; }
.checks li.some a:hover { text-decoration: underline; }
.warnings { border-color: var(--warn); background: var(--warn-wash); }
.warnings ul { margin: 0; padding-left: 1.15rem; }
.warnings li { margin: 0.2rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; padding: 0.38rem 0.8rem 0.38rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word; max-width: 24rem; }
.nowrap { white-space: nowrap; }
td.prose { min-width: 14rem; }
tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-weight: 500; font-size: 0.82rem; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bars td { padding: 0.22rem 0.9rem 0.22rem 0; border: 0; vertical-align: middle; }
.bars .name { width: 1%; max-width: 16rem; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.bar { display: flex; align-items: center; gap: 0.5rem; min-width: 6.5rem; font-size: 0.84rem;
  font-variant-numeric: tabular-nums; }
.bar i { display: block; height: 0.85rem; min-width: 2px; border-radius: 3px; }
.bar span { color: var(--soft); white-space: nowrap; }
.train i, i.train { background: var(--train); }
.val i, i.val { background: var(--val); }
.test i, i.test { background: var(--test); }
.dot { display: inline-block; width: 0.65rem; height: 0.65rem; border-radius: 3px;
  margin-right: 0.4rem; }
svg { display: block; width: 100%; height: auto; }
svg .train { fill: var(--train); } svg .val { fill: var(--val); } svg .test { fill: var(--test); }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1.5rem; }
.columns { display: flex; align-items: flex-end; gap: 3px; height: 8.5rem; padding-top: 1.2rem; }
.columns div { flex: 1; display: flex; flex-direction: column; justify-content: flex-end;
  height: 100%; text-align: center; font-size: 0.72rem; color: var(--soft); min-width: 0; }
.columns i { background: var(--accent); border-radius: 3px 3px 0 0; display: block;
  flex: none; }
.ticks { display: flex; gap: 3px; border-top: 1px solid var(--line); font-size: 0.72rem;
  color: var(--soft); }
.ticks span { flex: 1; text-align: center; min-width: 0; padding-top: 0.2rem;
  overflow-wrap: normal; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr));
  gap: 0.8rem;
  margin-top: 0.6rem; }
.samples { grid-template-columns: repeat(8, minmax(0, 1fr)); gap: 0.45rem; }
.reasons { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr));
  gap: 1.4rem 1.6rem; margin-top: 1.2rem; grid-auto-flow: dense; }
.reasons .wide { grid-column: 1 / -1; }
.reasons p { margin-bottom: 0; font-size: 0.9rem; }
h3 code { font-size: 1em; }
figure { margin: 0; min-width: 0; }
.shot { aspect-ratio: 1; border-radius: 8px; background: var(--shade); overflow: hidden;
  display: flex; align-items: center; justify-content: center; }
.shot img { display: block; max-width: 100%; max-height: 100%; width: 100%; height: 100%;
  object-fit: contain; }
.shot.none { padding: 0.5rem; text-align: center; color: var(--soft); font-size: 0.78rem;
  border: 1px dashed var(--line); background: var(--track); }
figcaption { font-size: 0.78rem; line-height: 1.35; padding-top: 0.3rem; }
figcaption div { color: var(--soft); margin-top: 0.1rem; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(16.5rem, 1fr)); gap: 1rem;
  margin-top: 0.6rem; }
.pair { border: 1px solid var(--line); border-radius: 10px; padding: 0.7rem; min-width: 0; }
.pair .side { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr);
  gap: 0.5rem; }
.pair > p { font-size: 0.84rem; margin: 0.5rem 0 0; }
.tag { display: inline-block; border-radius: 4px; padding: 0 0.35rem; font-size: 0.76rem;
  background: var(--track); color: var(--ink); }
.tag.good { background: var(--good-wash); color: var(--good); }
.tag.warn { background: var(--warn-wash); color: var(--warn); }
.tag.bad { background: var(--bad-wash); color: var(--bad); }
.more { color: var(--soft); font-size: 0.86rem; margin: 0.6rem 0 0; }
details { margin-top: 0.8rem; }
summary { cursor: pointer; color: var(--accent); font-size: 0.9rem; }
footer { color: var(--soft); font-size: 0.84rem; margin-top: 1.6rem; }
@media (max-width: 36rem) {
  main { padding: 1.25rem 0.75rem 2rem; }
  section { padding: 1rem; border-radius: 10px; }
  .bars .name { max-width: 6.5rem; }
  .samples { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .bars td { padding-right: 0.5rem; }
  .bar { min-width: 4.5rem; }
}
@media print {
  body { background: #fff; } section, .tile, .pair, figure { break-inside: avoid; }
}
"""
