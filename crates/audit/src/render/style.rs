//! How the HTML report looks: by light and by dark, on a wall and on a phone.

/// The style sheet. Colours are named once for each scheme; nothing is fetched from anywhere.
pub const STYLE: &str = "
:root{color-scheme:light dark;--paper:#fff;--card:#f5f6f8;--ink:#1c2330;--faint:#5d6778;--line:#dde1e8;--busy:#2468c8;--idle:#d9870b;--free:#a9b1be;--good:#17803d;--heat:36,104,200;--none:#eceff3}
@media (prefers-color-scheme:dark){:root{--paper:#14181f;--card:#1d232d;--ink:#e7eaf0;--faint:#9aa5b6;--line:#323b49;--busy:#6aa5f5;--idle:#f0ab3d;--free:#5c6778;--good:#58c47b;--heat:106,165,245;--none:#262d38}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
main{max-width:1160px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0 0 2px;line-height:1.25}
h2{font-size:19px;margin:38px 0 10px}
p{margin:6px 0}
.faint{color:var(--faint)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin:20px 0 8px}
.card{background:var(--card);border-radius:10px;padding:14px 16px}
.card b{display:block;font-size:25px;line-height:1.25;font-variant-numeric:tabular-nums}
.card span{color:var(--faint);font-size:13px}
.card.idle b{color:var(--idle)}
.card.good b{color:var(--good)}
.stack{display:flex;height:26px;border-radius:6px;overflow:hidden;background:var(--none)}
.stack i{display:block;height:100%}
.key{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:13px;color:var(--faint);margin-top:7px}
.key i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:7px 12px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-size:12.5px;font-weight:600;color:var(--faint);white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.name{font-weight:600;overflow-wrap:anywhere;min-width:130px}
td small{display:block;color:var(--faint);font-weight:400;font-size:12.5px}
td.wide{min-width:230px}
td.trend{min-width:130px;width:170px}
svg{display:block;width:100%}
svg.spark{height:28px}
svg.heat{height:16px;border-radius:3px}
.plot{display:grid;grid-template-columns:46px 1fr;gap:4px 8px;font-size:12.5px;color:var(--faint)}
.plot .y{display:flex;flex-direction:column;justify-content:space-between;text-align:right;line-height:1}
.plot .x{grid-column:2;display:flex;justify-content:space-between}
.plot svg{height:170px;border-bottom:1px solid var(--line)}
.bars>div{display:grid;grid-template:'name bar n'/190px 1fr 120px;gap:0 12px;align-items:center;font-size:14px;margin:7px 0}
.bars .name{grid-area:name;overflow-wrap:anywhere}
.bars .bar{grid-area:bar;height:16px;background:var(--none);border-radius:4px;overflow:hidden;display:flex}
.bars .bar i{height:100%}
.bars .n{grid-area:n;text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.advice{border:1px solid var(--line);border-left:4px solid var(--idle);border-radius:8px;padding:11px 15px;margin:10px 0}
.advice.keep{border-left-color:var(--good)}
.advice .top{display:flex;flex-wrap:wrap;justify-content:space-between;gap:2px 16px}
code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;background:var(--card);border-radius:5px;padding:1px 5px;overflow-wrap:anywhere}
.how{margin:6px 0 0;padding-left:20px}
.gaps li{margin:5px 0}
.tag{font-size:12px;border:1px solid var(--line);border-radius:9px;padding:0 7px;color:var(--faint);white-space:nowrap}
@media (max-width:560px){main{padding:18px 14px 40px}h1{font-size:22px}.card b{font-size:21px}.bars>div{grid-template:'name n' 'bar bar'/1fr auto;gap:2px 12px}}
@media print{.card,.advice{break-inside:avoid}}
";
