"""Changes the links of the packed pages to packed files.

    links.py TOP SHARE

TOP is the archive's top folder. SHARE is the folder in it with the pages, laid out as in the sources. A link to a header
leads to TOP/include. A link to a file that only the sources have becomes plain text.
"""

import os
import re
import sys

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")


def main(top: str, share: str) -> None:
    root = os.path.join(top, share)
    for folder, _, names in os.walk(root):
        for name in names:
            if name.endswith(".md"):
                mend(os.path.join(folder, name), root, top)


def mend(page: str, root: str, top: str) -> None:
    folder = os.path.dirname(page)

    def link(found: "re.Match[str]") -> str:
        text, path, part = found.groups()
        target = os.path.normpath(os.path.join(folder, path))
        if os.path.exists(target):
            return found.group(0)
        header = os.path.join(top, os.path.relpath(target, root))
        if not os.path.exists(header):
            return text
        return "[%s](%s%s)" % (text, os.path.relpath(header, folder), part or "")

    with open(page, encoding="utf-8", newline="") as file:
        before = file.read()
    after = LINK.sub(link, before)
    if after != before:
        with open(page, "w", encoding="utf-8", newline="") as file:
            file.write(after)


main(*sys.argv[1:])
