//! Algorithms on run-length masks: components, morphology, holes, statistics, set operations.
