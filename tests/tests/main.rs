//! The black-box tests: one binary, a module for each promise.
//!
//! There is one binary because each binary links the whole harness: twenty took longer to link than
//! to run. `./dev test -p seawall-tests patch::` runs one module.

// All code here is test code, but the lints exempt only functions with `#[test]`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod attack;
mod audit;
mod balanced;
mod bucket_cache;
mod bucket_faults;
mod buckets;
mod bundle;
mod cli;
mod clocks;
mod cloud;
mod compat;
mod completion;
mod contract;
mod convert;
mod copy;
mod crash;
mod credentials;
mod damage;
mod deploy;
mod deployment;
mod depot;
mod edge;
mod fsck;
mod gc;
mod guidance;
mod heal;
mod hold;
mod hostile;
mod identity;
mod images;
mod interrupt;
mod jobs;
mod lifecycle;
mod links;
mod mirrors;
mod modes;
mod needs;
mod operations;
mod ovf;
mod ovf_files;
mod patch;
mod patch_in_use;
mod push_pull;
mod relocate;
mod room;
mod serve;
mod sql;
mod terminal;
mod tidy;
mod tokens;
