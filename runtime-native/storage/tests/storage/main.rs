//! Every storage driver and the volumes, on the real kernel.

mod choice;
mod common;
mod drivers;
mod files;
mod fuzz;
mod overlay;
mod room;
mod volumes;
