"""The page's style sheet: light and dark, one accent colour per owner of code."""

_LIGHT = """--bg:#f5f6f8;--card:#ffffff;--ink:#1a1d24;--dim:#667084;--line:#e2e5ec;--grid:#edeff3;--edge:#b4bac8;
--band:#eef1f8;--terrace:#3d5bdb;--iree:#d9680f;--hit:#3d5bdb12;color-scheme:light"""

_DARK = """--bg:#0e1117;--card:#161b23;--ink:#e7eaf0;--dim:#97a1b4;--line:#2a313d;--grid:#222934;--edge:#4d5668;
--band:#1b212c;--terrace:#84a0ff;--iree:#ffa25e;--hit:#84a0ff1c;color-scheme:dark"""

STYLE = (
    f":root{{{_LIGHT}}}\n"
    f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{_DARK}}}}}\n"
    f":root[data-theme=dark]{{{_DARK}}}\n"
    """
*{box-sizing:border-box}
html{background:var(--bg)}
body{margin:0;color:var(--ink);font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:12px}
header{display:flex;align-items:baseline;gap:14px;padding:18px 24px 0;flex-wrap:wrap}
h1{font-size:21px;font-weight:650;margin:0;letter-spacing:-.01em}
h2{font-size:14px;font-weight:650;margin:0}
.sub,.made{color:var(--dim)}
.made{font-size:12.5px;flex-basis:100%;margin-top:-8px}
.hint{color:var(--dim);font-size:12.5px;margin:0 0 6px}
.hint code{color:var(--ink)}
header .spacer{flex:1}
button{font:inherit;font-size:12.5px;color:var(--ink);background:var(--card);border:1px solid var(--line);
border-radius:7px;padding:3px 10px;cursor:pointer}
button:hover{border-color:var(--dim)}
button:focus-visible,.node:focus-visible,th:focus-visible{outline:2px solid var(--terrace);outline-offset:1px}
.legend{display:inline-flex;gap:16px;align-items:center;color:var(--dim);font-size:13px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px}
i.terrace{background:var(--terrace)}i.iree{background:var(--iree)}
main{display:grid;grid-template-columns:minmax(340px,33%) minmax(0,1fr);gap:16px;padding:16px 24px 32px}
main.wide .tile b{font-size:17px}main.wide .tile b.long{font-size:13px}
main.wide{grid-template-columns:minmax(340px,42%) minmax(0,1fr)}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px}
.left{position:sticky;top:16px;height:calc(100vh - 32px);display:flex;flex-direction:column;overflow:hidden}
.bar{fill:var(--owner)}
.toolbar{display:flex;gap:6px;align-items:center;padding:10px 12px;border-bottom:1px solid var(--line)}
.toolbar h2{flex:1}
.toolbar small{font-weight:400;font-size:12px;color:var(--dim);margin-left:8px}
.canvas{flex:1;overflow:auto;cursor:grab;min-height:0}
.canvas.dragging{cursor:grabbing;user-select:none}
.canvas svg{display:block;margin:0 auto}
.details{border-top:1px solid var(--line);padding:10px 14px 12px;max-height:42%;overflow:auto}
.details dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;margin:6px 0 0;font-size:13px}
.details dt{color:var(--dim)}.details dd{margin:0;overflow-wrap:anywhere}
.terrace{--owner:var(--terrace)}.iree{--owner:var(--iree)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(108px,1fr));gap:12px}
.tile{padding:12px 14px}
.tile b{display:block;font-size:20px;
font-weight:650;letter-spacing:-.01em;font-variant-numeric:tabular-nums}
.tile b.long{font-size:13px}
.tile span{color:var(--dim);font-size:12.5px}
.right{display:flex;flex-direction:column;gap:16px;min-width:0}
.charts{padding:16px 18px 8px;display:flex;flex-direction:column;gap:14px}
.split{padding:14px 18px 12px}
.splitbar{display:flex;height:12px;border-radius:6px;overflow:hidden;margin-top:10px;background:var(--grid);gap:2px}
.splitbar i{display:block;background:var(--owner)}
.splitlabels{display:flex;flex-wrap:wrap;gap:4px 18px;margin-top:8px;color:var(--dim);font-size:12.5px}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;fill:var(--ink)}
svg.defs{position:absolute}
svg .tick,svg .axis,svg .place,svg .macs,svg .stub,svg .bandlabel{fill:var(--dim);font-size:11px}
svg .place,svg .macs{font-variant-numeric:tabular-nums}
svg .charttitle{font-size:13px;font-weight:600}
svg .direct{font-size:11px;font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:4px}
svg .op{font-weight:600;font-size:12.5px}
svg .grid{stroke:var(--grid);stroke-width:1}
svg .block rect{fill:transparent}svg .block.odd rect{fill:var(--band)}
svg .blockname{font-size:11px;font-weight:600}
svg .blocktotal{fill:var(--edge);opacity:.45;pointer-events:none}
svg .hit{fill:transparent}
svg .column:hover .hit,svg .column.on .hit{fill:var(--hit)}
svg .bar.light{opacity:.42}
.node .body{fill:color-mix(in srgb,var(--owner) 8%,var(--card));
stroke:color-mix(in srgb,var(--owner) 45%,var(--line));stroke-width:1}
.node .stripe,.node .share{fill:var(--owner)}
.node .share{opacity:.55}
.node.layer{cursor:pointer;outline:none}
.node.layer:hover .body{stroke:var(--owner)}
.node.on .body{stroke:var(--owner);stroke-width:2.2;fill:color-mix(in srgb,var(--owner) 20%,var(--card))}
.node.end rect{fill:var(--card);stroke:var(--edge)}
.node.end text,.node.fold text{fill:var(--dim)}
.node.fold rect{fill:var(--band);stroke:var(--edge)}
.edge{fill:none;stroke:var(--edge);stroke-width:1.3;marker-end:url(#arrow)}
.edge.on{stroke:var(--ink);stroke-width:1.9}
.tip{fill:var(--edge)}
.band{fill:var(--band)}
.stub[data-go]{cursor:pointer}
.tablecard{overflow:hidden}
.tablebar{display:flex;gap:10px;align-items:center;padding:12px 16px;flex-wrap:wrap}
.tablebar h2{flex:1}
input{font:inherit;font-size:13px;padding:4px 9px;border-radius:7px;border:1px solid var(--line);background:var(--bg);
color:var(--ink);width:210px}
.scroll{overflow:auto;max-height:76vh}
table{border-collapse:collapse;width:100%;font-size:12.5px}
th{position:sticky;top:0;background:var(--card);text-align:left;font-weight:600;color:var(--dim);cursor:pointer;
white-space:nowrap;padding:7px 7px;box-shadow:inset 0 -1px var(--line);user-select:none}
th[aria-sort=ascending]::after{content:" ↑"}th[aria-sort=descending]::after{content:" ↓"}
td{padding:4px 7px;border-top:1px solid var(--grid);white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td .in{display:block;height:3px;border-radius:2px;background:var(--owner);opacity:.6;margin:2px 0 0 auto}
td.op{max-width:185px;overflow:hidden;text-overflow:ellipsis}
td.why{max-width:230px;overflow:hidden;text-overflow:ellipsis;color:var(--dim)}
tr{cursor:pointer}tbody tr:hover td{background:var(--hit)}tr.on td{background:var(--hit)}
tr i{display:inline-block;width:9px;height:9px;border-radius:3px;background:var(--owner);margin-right:6px}
footer{padding:0 24px 26px;color:var(--dim);font-size:12.5px;max-width:1000px}
footer dt{color:var(--ink);font-weight:600;float:left;clear:left;width:130px}
footer dd{margin:0 0 4px 130px}
@media (max-width:900px){main,main.wide{grid-template-columns:minmax(0,1fr)}.left{position:static;height:70vh}}
@media print{.left{position:static;height:auto}.canvas{overflow:visible}.scroll{max-height:none}
button,input{display:none}}
"""
)
