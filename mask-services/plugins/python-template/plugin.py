"""Length of vessel centrelines: thins every structure to lines one voxel wide and measures them in mm."""

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array, csgraph
from scipy.spatial import KDTree
from skimage.morphology import skeletonize

import nephrite_plugin as nephrite
from nephrite_plugin import pb

OPERATION = pb.Operation(
    name="centreline",
    version="1.0.0",
    help="centrelines of tubular structures, and their length",
    inputs=[pb.OperationInput(name="mask", help="vessels, ureters, airways", required=True)],
    parameters=[
        pb.Parameter(name="labels", help="the labels to follow; all if none", labels=pb.LabelsKind(inputs=["mask"])),
        pb.Parameter(name="min_length_mm", help="leaves out structures shorter than this", unit="mm",
                     default=pb.ParameterValue(number=0), number=pb.NumberKind(min=0, max=10000)),
    ],
    outputs=[pb.OperationOutput(name="centreline", help="voxels on the centrelines", on_grid_of="mask",
                                labels_of=pb.InputLabels(inputs=["mask"]))],
    artefacts=True,
)  # fmt: skip


def length_mm(line, spacing):
    """Edges between neighboring voxels, as far as they form a tree: shortcuts at bends and forks do not count twice."""
    points = np.argwhere(line)
    a, b = KDTree(points).query_pairs(1, p=np.inf, output_type="ndarray").T
    edges = np.linalg.norm((points[a] - points[b]) * spacing, axis=1)
    graph = coo_array((edges, (a, b)), (len(points), len(points)))
    return float(csgraph.minimum_spanning_tree(graph).sum())


def run(inputs, parameters, context):
    mask, measurements = inputs["mask"], []
    lines = np.zeros_like(mask.ids)
    boxes = dict(enumerate(ndimage.find_objects(mask.ids), 1))
    for label in mask.named(parameters["labels"]):
        total, here = 0.0, boxes.get(label) or np.s_[:1, :1, :1]
        structures, _ = ndimage.label(mask.ids[here] == label, np.ones((3, 3, 3)))
        for number, box in enumerate(ndimage.find_objects(structures), 1):
            context.check()  # ends here if nobody waits any more
            line = skeletonize(structures[box] == number)
            length = length_mm(line, mask.spacing)
            if nephrite.at_least(length, parameters["min_length_mm"]):
                lines[here][box][line] = label
                total += length
        measurements.append(pb.Measurement(label=mask.labels[label][0], name="length", unit="mm", value=total))
    if context.artefacts:
        rows = [("label", "length_mm"), *((found.label, found.value) for found in measurements)]
        context.artefacts.write("lengths.csv", "text/csv", nephrite.csv_text(rows))
    return {"centreline": mask.like(lines)}, measurements


if __name__ == "__main__":
    nephrite.serve(OPERATION, run)
