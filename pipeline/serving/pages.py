"""The two pages for people: one to try the model, one that shows programs how to ask.

Both are whole by themselves. The browser is told to load nothing from elsewhere, and to run only
the script that the page came with.
"""

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse

from pipeline.clean.page.markup import Html, document, style_sheet, tag

_PAGE = Path(__file__).with_name("page.html")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_DOCS_CSS = """
:root { color-scheme: light dark; --soft: #5a6a62; --line: #dfe6e2; --wash: #f1f5f3; }
@media (prefers-color-scheme: dark) { :root { --soft: #97a79f; --line: #2a342f; --wash: #181f1c; } }
body { max-width: 54rem; margin: 0 auto; padding: 1.5rem 1.25rem 3rem; overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1, h2 { letter-spacing: -0.015em; line-height: 1.2; }
h2 { margin: 2rem 0 0.3rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
code, pre { font: 0.88em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: 8px; padding: 0.8rem;
  overflow-x: auto; overflow-wrap: normal; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; }
th, td { text-align: left; padding: 0.3rem 0.8rem 0.3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 500; }
summary { cursor: pointer; }
"""
_EXAMPLES = {
    "/predict": """
curl -F file=@cell.png {base}/predict
curl -F file=@cell.png -F file=@other.png {base}/predict
curl --data-binary @cell.png {base}/predict
echo '{{"images": ["'$(base64 < cell.png)'"]}}' | curl -d @- {base}/predict
""",
    "/explain": """
curl -F file=@cell.png {base}/explain
""",
    "/invocations": """
echo '{{"instances": ["'$(base64 < cell.png)'"]}}' | curl -d @- {base}/invocations
""",
    "/v1/models/{name}:predict": """
echo '{{"instances": [{{"b64": "'$(base64 < cell.png)'"}}]}}' \\
  | curl -d @- {base}/v1/models/{model}:predict
""",
    "/v2/models/{name}/infer": """
echo '{{"inputs": [{{"name": "image", "datatype": "BYTES", "shape": [1],' \\
     '"data": ["'$(base64 < cell.png)'"]}}]}}' | curl -d @- {base}/v2/models/{model}/infer
""",
}
"""Commands as they are typed."""


@cache
def _predict_page() -> tuple[str, str]:
    text = _PAGE.read_text(encoding="utf-8")
    scripts = " ".join(f"'sha256-{_digest(each)}'" for each in _SCRIPT.findall(text))
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return text, policy


def predict_page() -> HTMLResponse:
    """Return the page on which a person tries the model."""
    text, policy = _predict_page()
    return HTMLResponse(text, headers={"content-security-policy": policy})


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def docs_page(openapi: dict[str, Any], **names: str) -> HTMLResponse:
    """Return the page that shows the OpenAPI document.

    Args:
        openapi: The document.
        names: Of the examples: `base`, where the server is, and `model`.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", openapi["info"]["title"]),
        style_sheet(_DOCS_CSS),
    )
    body = tag(
        "body",
        tag("h1", openapi["info"]["title"]),
        tag("p", _prose(openapi["info"]["description"])),
        tag(
            "p",
            tag("a", "Try it in the browser", href="./"),
            " or read ",
            tag("a", "openapi.json", href="openapi.json"),
            ".",
        ),
        [
            _operation(path, method, operation, names)
            for path, methods in openapi["paths"].items()
            for method, operation in methods.items()
        ],
        tag("h2", "Schemas"),
        [
            tag(
                "details",
                tag("summary", tag("code", name)),
                _lines(json.dumps(schema, indent=2)),
                id=name,
            )
            for name, schema in openapi["components"]["schemas"].items()
        ],
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return HTMLResponse(document("en", head, body), headers={"content-security-policy": policy})


def _operation(
    path: str, method: str, operation: dict[str, Any], names: dict[str, str]
) -> list[Html | None]:
    body = operation.get("requestBody")
    example = _EXAMPLES.get(path)
    return [
        tag("h2", tag("code", f"{method.upper()} {path}")),
        tag("p", operation["summary"], " ", _prose(operation.get("description", ""))),
        _lines(example.strip().format(**names)) if example else None,
        tag("p", "Content-Type: ", ", ".join(body["content"])) if body else None,
        tag(
            "table",
            tag("tr", tag("th", "Status"), tag("th", "Meaning"), tag("th", "Body")),
            [_status(code, each) for code, each in operation["responses"].items()],
        ),
    ]


def _prose(text: str) -> list[str]:
    """Return text with what stands between backticks as code."""
    return [
        tag("code", part) if number % 2 else part for number, part in enumerate(text.split("`"))
    ]


def _lines(text: str) -> Html:
    return tag("pre", [[line, tag("br")] for line in text.splitlines()])


def _status(code: str, response: dict[str, Any]) -> Html:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    names = [
        each["$ref"].rpartition("/")[2]
        for each in (schema, *schema.get("anyOf", ()))
        if "$ref" in each
    ]
    return tag(
        "tr",
        tag("td", tag("code", code)),
        tag("td", _prose(response["description"])),
        tag("td", [[" ", tag("a", name, href=f"#{name}")] for name in names]),
    )
