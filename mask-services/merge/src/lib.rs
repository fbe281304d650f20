//! Mask operation: any number of label maps into one.
