//! DNS over UDP and TCP around the one answer core.
