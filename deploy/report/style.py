"""The look of the report: dark on light, one column, numbers aligned, fit for paper."""

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 68rem; color: #1b2733; background: #fff;
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 2px solid #12324a; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
p { margin: .4rem 0; max-width: 46rem; }
.quiet, caption, .how { color: #4a5866; }
.how { font-size: .9rem; }
.warn { background: #fff4d6; border-left: 4px solid #8a6100; padding: .5rem .75rem; }
nav ul { list-style: none; padding: 0; margin: .75rem 0; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
a { color: #0b4f8a; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: .93rem; }
caption { text-align: left; padding: .25rem 0; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #d5dbe1; vertical-align: middle; }
thead th, thead td { border-bottom: 2px solid #8a97a3; font-weight: 600; vertical-align: bottom; line-height: 1.25; }
thead th.num { white-space: normal; }
tbody th { font-weight: 600; min-width: 8.5rem; }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.scroll { overflow-x: auto; }
.badge { display: block; font-weight: 600; font-size: .85em; line-height: 1.3; }
.worse { color: #9a1c14; } .better { color: #0a5f38; } .unclear, .none { color: #4a5866; font-weight: 400; }
.findings { list-style: none; padding: 0; counter-reset: f; }
.findings > li { counter-increment: f; border: 1px solid #d5dbe1; border-left: 5px solid #8a97a3; padding: .6rem .9rem; margin: .75rem 0; }
.findings > li.worse, .findings > li.alarm { color: inherit; border-left-color: #9a1c14; }
.findings > li.better { color: inherit; border-left-color: #0a5f38; }
.findings h3 { margin: 0 0 .25rem; } .findings h3::before { content: counter(f) ". "; }
.findings h4 { margin: .6rem 0 .2rem; font-size: .9rem; color: #4a5866; }
blockquote { margin: .4rem 0; padding: .1rem 0 .1rem .75rem; border-left: 3px solid #d5dbe1; overflow-wrap: anywhere; }
blockquote footer { font-size: .85rem; color: #4a5866; }
svg { display: block; }
body > footer { margin-top: 2.5rem; font-size: .85rem; color: #4a5866; }
@media print {
  body { padding: 0; max-width: none; font-size: 10pt; }
  nav { display: none; } .scroll { overflow: visible; }
  h2 { break-after: avoid; } tr, .findings > li { break-inside: avoid; } thead { display: table-header-group; }
  * { print-color-adjust: exact; }
}
"""
