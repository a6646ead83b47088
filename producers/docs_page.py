"""The OpenAPI document as a page for people: no script, no outside asset."""

import json
from html import escape
from typing import Any

_STYLE = (
    "body{margin:2rem auto;max-width:52rem;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif;color:#1d2433}"
    "pre{padding:1rem;background:#eef2f8;overflow:auto}code{font-size:.9rem}h2{margin-top:2rem}"
    "table{border-collapse:collapse}td,th{padding:.3rem .8rem .3rem 0;text-align:left;vertical-align:top}"
)


def docs_html(openapi: bytes) -> str:
    """Return the page of an OpenAPI document."""
    document: dict[str, Any] = json.loads(openapi)
    parts = [f"<h1>{escape(document['info']['title'])}</h1>", f"<p>{escape(document['info']['description'])}</p>"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>")
            if "description" in operation:
                parts.append(f"<p>{escape(operation['description'])}</p>")
            if "x-example" in operation:
                parts.append(f"<pre><code>{escape(operation['x-example'])}</code></pre>")
            rows = "".join(
                f"<tr><td><code>{escape(code)}</code></td><td>{escape(answer['description'])}</td></tr>"
                for code, answer in operation["responses"].items()
            )
            parts.append(f"<table><tr><th>Answer</th><th>Meaning</th></tr>{rows}</table>")
    parts.append('<p>The machine-readable form: <a href="/openapi.json">/openapi.json</a></p>')
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )
