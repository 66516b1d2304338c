"""Files within a page."""

import base64


def inline(media_type: str, content: bytes) -> str:
    """Return a `data:` URL that holds a file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
