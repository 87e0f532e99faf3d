//! Tests of collections over a store in memory and a real catalog.

mod actors;
mod gate;
mod grips;
mod sim;
mod tally;
