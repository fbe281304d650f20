//! Placeholder while the models train.
