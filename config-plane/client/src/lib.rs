//! The typed client of the admin API, with endpoint rotation and deadlines.
