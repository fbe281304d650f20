"""Prints what a DICOMweb server says of its series (QIDO-RS): modality, instances, series, study, a line each, sorted.

    python3 qido.py URL FILE        # FILE holds user:password; without it, nobody logs in
"""

import base64
import json
import sys
import urllib.request
from pathlib import Path

MODALITY, SERIES, STUDY, INSTANCES = "00080060", "0020000E", "0020000D", "00201209"


def rows(url, login):
    """The rows of all series."""
    request = urllib.request.Request(f"{url}/series?includefield={INSTANCES}", headers={"Accept": "application/dicom+json"})
    if login:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


login = Path(sys.argv[2]).read_text(encoding="utf-8").strip() if len(sys.argv) > 2 else ""
for line in sorted(" ".join(str(row[tag]["Value"][0]) for tag in (MODALITY, INSTANCES, SERIES, STUDY)) for row in rows(sys.argv[1], login)):
    print(line)
