//! Where what is judged, shown and approved could differ from what is sent. Each test is named by
//! its number in the list of cases.

mod answers;
mod binding;
mod defaults;
mod held_bodies;
mod message;
