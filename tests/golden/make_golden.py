#!/usr/bin/env python3
"""Makes the golden cases from the real nnU-Net. See README.md.

    python make_golden.py            writes everything anew beside this file
    python make_golden.py --check    makes everything in a temporary folder and compares it with what is here
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(variable, tempfile.gettempdir())
os.environ["nnUNet_def_n_proc"] = "1"  # nnU-Net sets torch's threads to this number

import torch

from golden_cases import CASES, write_inputs, write_models
from golden_compare import compare_trees
from golden_models import write_json
from golden_reference import postprocess_case, run_case

HERE = Path(__file__).resolve().parent
SIZE_LIMIT, FILE_LIMIT = 6_000_000, 1_000_000


def describe(root: Path, case, fields):
    """Writes case.json: everything that a test needs to run the case, and the small expected values."""
    files = root / "cases" / case.name
    optional = {
        "stages": "stages.npz",
        "replay": "replay.npz",
        "probabilities": "probabilities.npz",
        "labels_postprocessed": "labels_postprocessed.nii.gz",
    }
    expected = {"labels": f"cases/{case.name}/labels.nii.gz"}
    expected |= {key: f"cases/{case.name}/{name}" for key, name in optional.items() if (files / name).exists()}
    write_json(
        files / "case.json",
        {
            "name": case.name,
            "shows": case.shows,
            "kind": case.kind,
            "model": case.model,
            "inputs": case.inputs,
            "previous_stage": case.previous_stage,
            "run_previous_stage": case.run_previous_stage,
            "folds": [str(f) for f in case.folds],
            "checkpoint": case.checkpoint,
            "mirroring": case.mirroring,
            "tile_step_size": case.tile_step_size,
            "save_probabilities": case.save_probabilities,
            "postprocessing": case.postprocessing,
            "expected": expected,
            "stages": fields,
        },
    )


def make(root: Path, only):
    """Makes models, inputs and cases under `root`."""
    torch.set_num_threads(1)
    write_models(root)
    write_inputs(root)
    for case in CASES:
        if only and case.name not in only:
            continue
        started = time.perf_counter()
        with open(os.devnull, "w") as quiet:
            stdout, sys.stdout = sys.stdout, quiet
            try:
                fields, figures = (run_case if case.kind == "segment" else postprocess_case)(root, case)
            finally:
                sys.stdout = stdout
        describe(root, case, fields)
        size = sum(f.stat().st_size for f in (root / "cases" / case.name).iterdir())
        print(f"{case.name:28} {time.perf_counter() - started:5.1f} s {size / 1000:6.0f} kB {fields.get('network_shape', '')} {figures}", flush=True)


def write_table(readme: Path):
    """Writes the list of cases into README.md; a test compares it with the folders that exist."""
    begin, end = "<!-- written by make_golden.py -->\n", "<!-- end -->"
    head, rest = readme.read_text().split(begin)
    rows = [f"| `{case.name}` | {case.shows} | `{case.model.removeprefix('models/')}` |" for case in CASES]
    table = "\n".join([f"{len(CASES)} cases.\n", "| case | exercises | model |", "|---|---|---|", *rows])
    readme.write_text(f"{head}{begin}{table}\n{end}{rest.split(end)[1]}")


def check_sizes(root: Path):
    files = [f for folder in ("models", "cases") for f in (root / folder).rglob("*") if f.is_file()]
    large = [str(f.relative_to(root)) for f in files if f.stat().st_size > FILE_LIMIT]
    total = sum(f.stat().st_size for f in files)
    print(f"{len(files)} files, {total / 1e6:.2f} MB")
    if large or total > SIZE_LIMIT:
        sys.exit(f"too large: {large or total}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with a fresh run instead of writing")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write (default: beside this file)")
    parser.add_argument("--only", nargs="*", help="names of cases to run (models and inputs are always written)")
    arguments = parser.parse_args()
    if arguments.check:
        with tempfile.TemporaryDirectory() as scratch:
            make(Path(scratch), None)
            differences = compare_trees(HERE, Path(scratch))
        print("\n".join(differences) or "the golden files are what nnU-Net gives")
        sys.exit(1 if differences else 0)
    if not arguments.only:
        for folder in ("models", "cases"):
            shutil.rmtree(arguments.out / folder, ignore_errors=True)
    make(arguments.out, arguments.only)
    write_table(HERE / "README.md")
    check_sizes(arguments.out)


if __name__ == "__main__":
    main()
