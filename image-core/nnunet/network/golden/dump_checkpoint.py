"""Writes a real trained fold in the form of the golden cases, with PyTorch's answer to a random tile.

    python dump_checkpoint.py MODEL_FOLDER FOLD OUT.safetensors

Only for checkpoints that you trust: PyTorch unpickles them.
"""

import json
import sys
import time
from pathlib import Path

import torch
from make_golden import build, canonical, describe
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from safetensors.torch import save_file


def main():
    folder, fold, out = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    torch.set_num_threads(2)
    checkpoint = torch.load(folder / f"fold_{fold}" / "checkpoint_final.pth", map_location="cpu", weights_only=False)
    plans = PlansManager(json.loads((folder / "plans.json").read_text()))
    dataset = json.loads((folder / "dataset.json").read_text())
    configuration = plans.get_configuration(checkpoint["init_args"]["configuration"])
    n_channels = determine_num_input_channels(plans, configuration, dataset)
    n_classes = plans.get_label_manager(dataset).num_segmentation_heads
    architecture = configuration.configuration["architecture"]
    class_name, patch = architecture["network_class_name"].split(".")[-1], list(configuration.patch_size)
    network = build(class_name, n_channels, n_classes, architecture["arch_kwargs"])
    network.load_state_dict(checkpoint["network_weights"])
    tile = torch.randn([1, n_channels, *patch], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network(tile)
        start = time.perf_counter()
        logits = network(tile)
        print(f"PyTorch {time.perf_counter() - start:.3f} s")
    state_dict = network.state_dict()
    tensors = canonical(state_dict) | {"golden.input": tile[0].contiguous(), "golden.logits": logits[0].contiguous()}
    description = describe(class_name, n_channels, n_classes, patch, architecture["arch_kwargs"])
    save_file(tensors, out, {"network": json.dumps(description), "state_dict": json.dumps(list(state_dict))})


if __name__ == "__main__":
    main()
