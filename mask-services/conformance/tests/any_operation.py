"""A plugin whose description stands in a file, serialized; gives its mask back."""

import sys

import nephrite_plugin as nephrite
from nephrite_plugin import pb

with open(sys.argv.pop(1), "rb") as file:
    OPERATION = pb.Operation.FromString(file.read())

nephrite.serve(OPERATION, lambda inputs, parameters, context: ({"mask": inputs["mask"]}, []))
