//! Archives written by hand, and what a store makes of them.

mod common;
mod fuzz;
mod lifecycle;
mod load;
mod tools;
