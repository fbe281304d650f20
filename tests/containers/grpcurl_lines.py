"""Prints the calls of grpcurl in a Markdown file, one a line: method, tab, request as JSON.

    python3 grpcurl_lines.py README.md
"""

import json
import re
import shlex
import sys


def calls(text):
    """Method and request of each command in a code block."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for command in re.findall(r"^grpcurl (?:\\\n|'[^']*'|[^'\\\n])*", block, re.MULTILINE):
            words = shlex.split(command)
            request = json.loads(words[words.index("-d") + 1]) if "-d" in words else {}
            yield words[-1], json.dumps(request)


with open(sys.argv[1], encoding="utf-8") as file:
    for method, request in calls(file.read()):
        print(method, request, sep="\t")
