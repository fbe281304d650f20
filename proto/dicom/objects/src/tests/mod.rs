//! Tests of whole objects: round trips in all orientations, what is refused, what comes out twice the same.

mod hostile;
mod orientations;
mod patients;
mod refusals;
mod regions;
mod reports;
mod samples;
mod synthetic;
