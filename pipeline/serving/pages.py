"""The two pages for people: one to try the model, one that shows programs how to ask.

Both are whole by themselves. The browser is told to load nothing from elsewhere, and to run only
the script that the page came with.
"""

import base64
import hashlib
import json
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse

from pipeline.pages.template import render

_PAGE = Path(__file__).with_name("page.html")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
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
    examples = {path: text.strip().format(**names) for path, text in _EXAMPLES.items()}
    text = render(
        "serving/docs.html",
        openapi=openapi,
        examples=examples,
        schemas=_schemas,
        dumps=partial(json.dumps, indent=2),
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return HTMLResponse(text, headers={"content-security-policy": policy})


def _schemas(response: dict[str, Any]) -> list[str]:
    """Return the names of the schemas that a body may have."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return [
        each["$ref"].rpartition("/")[2]
        for each in (schema, *schema.get("anyOf", ()))
        if "$ref" in each
    ]
