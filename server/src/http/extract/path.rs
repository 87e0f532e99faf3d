//! Parameters of paths. Texts that have a grammar of their own are parsed by the handler, after its
//! body was received.

use seawall_api::names::{ApplicationName, ChannelName, PinName};
use seawall_api::reference::Selector;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::model::LeaseId;
use crate::http::voice::ApiError;

/// The path of a channel.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ChannelPath {
    /// The application's name, with `/` encoded as `%2F`
    pub(crate) application: ApplicationName,
    /// The channel's name
    pub(crate) channel: ChannelName,
}

/// The path of a release.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ReleasePath {
    /// The application's name, with `/` encoded as `%2F`
    pub(crate) application: ApplicationName,
    /// A version, a channel or a digest (`blake3:…`)
    pub(crate) selector: String,
}

impl ReleasePath {
    /// Returns the selector of the release.
    pub(crate) fn selector(&self) -> Result<Selector, ApiError> {
        selector_of(&self.selector)
    }
}

/// The path of a pin.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct PinPath {
    /// The application's name, with `/` encoded as `%2F`
    pub(crate) application: ApplicationName,
    /// A version, a channel or a digest (`blake3:…`)
    pub(crate) selector: String,
    /// The pin's name
    pub(crate) pin: PinName,
}

impl PinPath {
    /// Returns the selector of the release.
    pub(crate) fn selector(&self) -> Result<Selector, ApiError> {
        selector_of(&self.selector)
    }
}

fn selector_of(text: &str) -> Result<Selector, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(format!("the selector: {error}")))
}

/// Parses the id of a lease.
pub(crate) fn lease_id(text: &str) -> Result<LeaseId, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(format!("the lease: {error}")))
}
