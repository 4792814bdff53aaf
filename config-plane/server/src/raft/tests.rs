//! openraft's own suite over our store, crashes at every sync, and the golden bytes.

mod crash;
mod golden;
mod lossy;
mod suite;
