//! Pure active-active state: dots, contexts, HLC, CRDT types, partition machine, catch-up, frame codec.
