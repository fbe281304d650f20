//! From plans and weights to an ONNX graph in memory; checks graphs that come from outside.
