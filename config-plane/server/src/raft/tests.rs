//! openraft's own suite over our store, crashes at every write, golden bytes, what comes of a golden log, and whole groups in
//! simulated time: their invariants, how a dead leader is succeeded, and the histories of their clients.

mod crash;
mod drive;
mod golden;
mod histories;
mod invariants;
mod replay;
mod sim;
mod succession;
mod suite;
mod supporters;
mod wgl;
