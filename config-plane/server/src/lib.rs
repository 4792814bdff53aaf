//! A member of the config plane: openraft over mutual TLS, durable log, admin API, follower stream.
