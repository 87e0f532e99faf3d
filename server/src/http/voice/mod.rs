//! Voices: the forms of errors in protocols.
//!
//! `frame` refuses a request without knowing its protocol and asks the protocol's voice for the
//! answer. The only voice renders problem documents. Another protocol adds a file.

mod problem;
mod refusal;

pub(crate) use problem::{ApiError, Problems};
