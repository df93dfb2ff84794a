"""The console: the page that the emulator serves at ``/``. Pure.

The page is one file that needs nothing else. It has no data of its own, and asks for
all that it shows by ``GET /_emulator/console``.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib import resources

from ..protocol.exchange import HttpReply

__all__ = ["CONSOLE_PATH", "page"]

CONSOLE_PATH = "/"
"""The path of the page."""

_INLINE = r"<{0}>(.*?)</{0}>"


@functools.cache
def page() -> HttpReply:
    """Return the page, and headers by which only what stands in it can run."""
    html = resources.files(__package__).joinpath("console.html").read_bytes()
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "; ".join(_policy(html.decode())),
        "x-frame-options": "DENY",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }
    return HttpReply(status=200, body=html, headers=headers)


def _policy(html: str) -> list[str]:
    return [
        "default-src 'none'",
        f"script-src {_hashes(html, 'script')}",
        f"style-src {_hashes(html, 'style')}",
        "connect-src 'self'",
        "img-src data:",  # the icon
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No text can become markup or code, whatever the script does.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]


def _hashes(html: str, tag: str) -> str:
    """Return the sources of a policy that allow the inline elements of a name."""
    texts = re.findall(_INLINE.format(tag), html, re.DOTALL)
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)
