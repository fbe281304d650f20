"""Makes what is measured: a CT of clinical size, and trained model folders with random weights; nothing is made twice.

    python inputs.py OUT BASE_SCAN.nii.gz [--small]

`OUT/scan.nii.gz` is BASE_SCAN on 488 × 404 × 336 voxels (66 million) of 0.75 × 0.75 × 1 mm, with noise. `OUT/models/NAME` are
networks with patches of 128³ at 1.5 mm. With --small all of it is small enough for a CPU.
"""

import importlib.util
import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BENCHES / "network"))

import SimpleITK as sitk  # noqa: E402
from make_inputs import write_model  # noqa: E402
from networks import NETWORKS, PLAIN, RESIDUAL, unet  # noqa: E402

SPACING_XYZ = (0.75, 0.75, 1.0)
SMALL_SHAPE_ZYX = (64, 80, 96)
NETWORK_SPACING = 1.5
CLASSES = {"plain": 5, "plain118": 118, "resenc": 5}


def network(name: str, small: bool) -> dict:
    if not small:
        return NETWORKS["resenc-128" if name == "resenc" else "plain-128"]
    if name == "resenc":
        return unet(RESIDUAL, [32] * 3, [8, 16, 32], [1, 2, 2], 1, seed=2)
    return unet(PLAIN, [32] * 3, [8, 16, 32], [2] * 3, 2, seed=1)


def peer_inputs():
    """`benches/peer/make_inputs.py`, whose name is taken."""
    spec = importlib.util.spec_from_file_location("peer_inputs", BENCHES / "peer/make_inputs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_scan(path: Path, base: str, small: bool) -> None:
    peer = peer_inputs()
    scan = peer.noisy_copy(sitk.ReadImage(base, sitk.sitkFloat32), SMALL_SHAPE_ZYX if small else peer.SHAPE_ZYX)
    scan.SetSpacing(SPACING_XYZ)
    sitk.WriteImage(scan, str(path), useCompression=True)


def main(out: str, base: str, *flags: str) -> None:
    folder, small = Path(out), "--small" in flags
    for name, n_classes in CLASSES.items():
        model = folder / "models" / name / "nnUNetTrainer__nnUNetPlans__3d_fullres"
        if not (model / "fold_0/checkpoint_final.pth").exists():
            write_model(model, network(name, small), n_classes, NETWORK_SPACING)
    if not (folder / "scan.nii.gz").exists():
        make_scan(folder / "scan.nii.gz", base, small)


if __name__ == "__main__":
    main(*sys.argv[1:])
