//! The port for outgoing messages.

mod address;
pub mod http;

pub use address::Reach;

/// An outgoing message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The URL to send the message to.
    pub url: String,
    /// The headers other than `Content-Type`, which is JSON.
    pub headers: Vec<(&'static str, String)>,
    /// The body, in JSON.
    pub body: Vec<u8>,
}

/// Delivers messages to their receivers.
#[async_trait::async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Sends a message by POST, within a bounded time. Returns the status of the answer, or the
    /// reason there was none.
    async fn post(&self, message: Message) -> Result<u16, String>;
}
