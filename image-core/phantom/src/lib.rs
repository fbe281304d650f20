//! A seeded synthetic abdomen in three contrast phases.
