"""Runs the real nnunetv2 on phantoms and prints the Dice of every structure.

    cargo run --release -p nephrite-phantom --example write_phantoms -- --out UNSEEN --seed-from 1 --count 3
    python evaluate.py --models ../models --phantoms UNSEEN --work WORK
"""

import argparse
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from train import MODELS, read_case


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", required=True, type=Path)
    parser.add_argument("--phantoms", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--mirroring", action="store_true")
    args = parser.parse_args()
    environment = {**os.environ, "nnUNet_results": str(args.models.resolve())}
    folders = sorted(args.phantoms.glob("seed_*"))
    for model, (phase, names, _) in MODELS.items():
        inputs, outputs = args.work / model / "in", args.work / model / "out"
        inputs.mkdir(parents=True, exist_ok=True)
        for folder in folders:
            scan, _, _ = read_case(folder, phase, names)
            facts = json.loads((folder / "phantom.json").read_text())
            image = sitk.GetImageFromArray(scan[0].astype(np.int16))
            # NIfTI's world is RAS, ITK's is LPS
            affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.array(facts["affine"])
            spacing = facts["spacing_zyx"][::-1]
            image.SetSpacing(spacing)
            image.SetDirection((affine[:3, :3] / np.array(spacing)).ravel().tolist())
            image.SetOrigin(affine[:3, 3].tolist())
            sitk.WriteImage(image, str(inputs / f"{folder.name}_0000.nii.gz"))
        command = ["nnUNetv2_predict", "-i", str(inputs), "-o", str(outputs), "-d", model, "-c", "3d_fullres", "-f", "0"]
        command += ["-device", "cpu", "-npp", "1", "-nps", "1"] + ([] if args.mirroring else ["--disable_tta"])
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        for folder in folders:
            _, truth, _ = read_case(folder, phase, names)
            labels = sitk.GetArrayFromImage(sitk.ReadImage(str(outputs / f"{folder.name}.nii.gz")))
            for i, name in enumerate(names, start=1):
                p, t = labels == i, truth[0] == i
                print(f"{model} {folder.name} {name:13s} Dice {2 * (p & t).sum() / (p.sum() + t.sum()):.4f}", flush=True)


if __name__ == "__main__":
    main()
