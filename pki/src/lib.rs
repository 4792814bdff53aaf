//! The certificate authority of a world, its identities, and the TLS configurations made of them.
