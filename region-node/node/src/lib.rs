//! Composes storage, links, state API, gateway and supervisor into one region node; probes its neighbours.
