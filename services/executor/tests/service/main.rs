//! The executor through its doors, on a real database and the simulated directory.

mod bindings;
mod delete_pass;
mod house;
mod keys;
mod reset_password;
mod tripwires;
