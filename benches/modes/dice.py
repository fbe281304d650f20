"""Dice of two masks with the truth of the demo's patient, by the names of their labels.

    python dice.py TRUTH.nii.gz FULL.nii.gz QUICK.nii.gz RECORD.json

Prints JSON: name -> [full, quick]. Ids of the truth are those of the phantom's label set, in the demo's order.
"""

import json
import sys

import SimpleITK

TRUTH = {"aorta": 1, "renal_artery": 2, "kidney": 3, "vein": 4, "renal_pelvis": 5, "ureter": 6}


def main(truth: str, full: str, quick: str, record: str) -> None:
    read = lambda path: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))  # noqa: E731
    truth, masks = read(truth), [read(full), read(quick)]
    with open(record) as file:
        labels = json.load(file)["masks"][0]["labels"]
    result = {}
    for label in labels:
        there = truth == TRUTH[label["name"]]
        result[label["name"]] = [
            2 * float((there & (mask == label["id"])).sum()) / float(there.sum() + (mask == label["id"]).sum())
            for mask in masks
        ]
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:5])
