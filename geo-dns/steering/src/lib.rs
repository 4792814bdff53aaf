//! Pure steering: locations, policies, the compiled View, and the answer to a query.
