//! Voices: how protocols say errors.
//!
//! `frame` refuses a request without knowing its protocol and asks the protocol's voice for the
//! answer. There is one voice, of problem documents. Another protocol adds a file.

mod problem;
mod refusal;

pub(crate) use problem::{ApiError, Problems};
