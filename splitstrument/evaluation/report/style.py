"""The report's style sheet: one file, no web fonts, light and dark, and black on white in print."""

STYLE = """
:root { --ink: #1b1f24; --paper: #fff; --soft: #5b6570; --line: #d5dae0; --band: #f3f5f7;
  --a: #0b6e99; --b: #c2410c; --c: #4d7c0f; --d: #7e22ce; --e: #a16207; --f: #be123c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebee; --paper: #14171a; --soft: #a3adb8; --line: #39414a;
  --band: #1e2328; --a: #5cb8e4; --b: #fb923c; --c: #a3e635; --d: #c084fc; --e: #facc15; --f: #fb7185; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .3rem; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.35rem; }
h3 { margin: 1.6rem 0 .4rem; font-size: 1.05rem; } p { max-width: 50rem; }
a { color: var(--a); } .soft { color: var(--soft); }
.note { border-left: 4px solid var(--b); background: var(--band); padding: .6rem .9rem; max-width: 50rem; }
.scroll { overflow-x: auto; margin: .8rem 0; } .scroll:focus-visible { outline: 2px solid var(--a); }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: 0 0 .35rem;
  max-width: min(50rem, calc(100vw - 2rem)); }
th, td { padding: .28rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; white-space: normal; }
 tbody tr:nth-child(even) { background: var(--band); }
th.published, td.published { background: color-mix(in srgb, var(--b) 14%, transparent); }
.chart { width: 100%; min-width: 34rem; max-width: 45rem; height: auto; display: block; margin: .5rem 0; }
.chart text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--line); } .axis, .whisker { stroke: var(--soft); } .box { fill: var(--a); fill-opacity: .3;
  stroke: var(--a); } .median { stroke: var(--b); stroke-width: 3; } .dot { fill: var(--ink); fill-opacity: .55; }
.diagonal { stroke: var(--soft); stroke-dasharray: 5 4; } .point { fill: var(--a); fill-opacity: .75; }
.bar { fill: var(--a); } .curve { fill: none; stroke-width: 2; }
.c0 { stroke: var(--a); } .c1 { stroke: var(--b); } .c2 { stroke: var(--c); } .c3 { stroke: var(--d); }
.c4 { stroke: var(--e); } .c5 { stroke: var(--f); }
.fill { stroke: none; } .fill.c0 { fill: var(--a); } .fill.c1 { fill: var(--b); } .fill.c2 { fill: var(--c); }
.fill.c3 { fill: var(--d); } .fill.c4 { fill: var(--e); } .fill.c5 { fill: var(--f); }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .8rem; }
figure { margin: 0; } .picture { position: relative; }
.picture span { position: absolute; left: 0; transform: translateY(50%); padding-left: .9rem; color: #fff;
  font-size: .7rem; text-shadow: 0 0 3px #000, 0 0 3px #000; }
.picture span::before { content: ''; position: absolute; left: 0; top: 50%; width: .7rem; border-top: 1px solid #fff; }
 figcaption { font-size: .85rem; color: var(--soft); }
figure img { width: 100%; height: 170px; display: block; background: #000; } audio { width: 100%; height: 2.2rem; }
pre { background: var(--band); padding: .7rem; overflow-x: auto; font-size: .8rem; }
nav ul { padding-left: 1.1rem; columns: 2; } li { break-inside: avoid; }
@media (max-width: 40rem) { nav ul { columns: 1; } }
@media print { :root { --ink: #000; --paper: #fff; --soft: #333; --line: #bbb; --band: #f3f3f3;
    --a: #0b6e99; --b: #c2410c; }
  body { max-width: none; padding: 0; font-size: 10pt; } table { font-size: 7.5pt; } th, td { padding: .15rem .3rem; }
  audio, nav { display: none; }
  .scroll { overflow: visible; } .chart { min-width: 0; } h2, h3, caption { break-after: avoid; }
  figure, .chart, tr { break-inside: avoid; } @page { margin: 14mm; } }
"""
