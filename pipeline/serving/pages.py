"""The two pages for people: one to try the model, one that shows programs how to ask.

Both are whole by themselves. The browser is told to load nothing from elsewhere, and to run only
the script that the page came with.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from starlette.responses import HTMLResponse

from pipeline.pages.template import render
from pipeline.serving.replicas.words import fill

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_EXAMPLES = {
    "/predict": """
curl -F file=@<example> {base}/predict
curl -F file=@<example> -F file=@<other> {base}/predict
curl --data-binary @<example> {base}/predict
echo '{{"<key>": [<inline>]}}' | curl -d @- {base}/predict
""",
    "/explain": """
curl -F file=@<example> {base}/explain
""",
    "/invocations": """
echo '{{"instances": [<inline>]}}' | curl -d @- {base}/invocations
""",
    "/v1/models/{name}:predict": """
echo '{{"instances": [<instance>]}}' \\
  | curl -d @- {base}/v1/models/{model}:predict
""",
    "/v2/models/{name}/infer": """
echo '{{"inputs": [{{"name": "<column>", "datatype": "BYTES", "shape": [1],' \\
     '"data": [<inline>]}}]}}' | curl -d @- {base}/v2/models/{model}/infer
""",
}
"""Commands as they are typed."""


@cache
def _read_page(template: str) -> tuple[str, str]:
    text = render(template)
    scripts = " ".join(f"'sha256-{_digest(each)}'" for each in _SCRIPT.findall(text))
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return text, policy


def predict_page(template: str) -> HTMLResponse:
    """Return the page on which a person tries the model."""
    text, policy = _read_page(template)
    return HTMLResponse(text, headers={"content-security-policy": policy})


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def docs_page(
    openapi: dict[str, Any], names: Mapping[str, str], words: Mapping[str, str]
) -> HTMLResponse:
    """Return the page that shows the OpenAPI document.

    Args:
        openapi: The document.
        names: Of the examples: `base`, where the server is, and `model`.
        words: Of the examples; see `words_of`.
    """
    examples = {path: fill(text.strip().format(**names), words) for path, text in _EXAMPLES.items()}
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
