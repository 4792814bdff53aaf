//! The traffic core: laws that hold whatever happens, and tables of what happens when.

mod balance;
mod laws;
mod protect;
mod support;
