//! The catalog's verbs, a file for each subject. Each verb is one transaction of the rules.

mod access;
mod audit;
mod check;
mod collect;
mod content;
mod jobs;
mod mirrors;
mod releases;
mod relocation;
mod retention;
mod rows;
