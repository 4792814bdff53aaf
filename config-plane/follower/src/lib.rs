//! Follows the plane: verifies Plans, keeps the last one on disk, says how fresh it is.
