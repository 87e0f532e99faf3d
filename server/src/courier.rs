//! The trait through which messages leave for the world outside, nothing else.

mod address;
pub mod http;

pub use address::Reach;

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where it goes.
    pub url: String,
    /// Headers besides the type of its body, which is JSON.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Brings messages to their receivers.
#[async_trait::async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Sends a message by POST and returns the status it was answered with, or why there was none,
    /// within a bounded time.
    async fn post(&self, message: Message) -> Result<u16, String>;
}
