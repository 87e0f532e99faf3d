//! Pins, with which people hold releases for a stated reason.

use seawall_api::audit::Action;
use seawall_api::names::{ApplicationName, PinName};
use seawall_api::reference::Selector;
use seawall_api::v1::PIN_REASON_LEN_MAX;

use super::Retention;
use crate::app::AppError;
use crate::catalog::Entry;
use crate::catalog::retention::{PINS_MAX, Pin, Pinned};

/// A request to pin a release.
#[derive(Clone, Debug)]
pub struct NewPin {
    /// The pin's name.
    pub name: PinName,
    /// The reason to hold the release.
    pub reason: String,
    /// The name of the token used; empty without authentication.
    pub token: String,
}

/// Fails unless a text is non-blank, at most `len_max` bytes long, and free of control characters.
pub(super) fn check_text(what: &str, text: &str, len_max: usize) -> Result<(), AppError> {
    let is_plain = !text.chars().any(char::is_control);
    if is_plain && !text.trim().is_empty() && text.len() <= len_max {
        return Ok(());
    }
    let rule = format!("{what} must be 1 to {len_max} bytes of text without control characters");
    Err(AppError::rule(rule))
}

impl Retention {
    /// Pins the release that a selector currently refers to, and replaces a pin of the same name.
    /// Returns the pin and whether the pin is new.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such release, [`AppError::Invalid`] if the reason is
    /// malformed or the release has too many pins.
    pub async fn pin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        new: NewPin,
    ) -> Result<(Pin, bool), AppError> {
        check_text("the reason", &new.reason, PIN_REASON_LEN_MAX)?;
        let release = self.names.resolve(application, selector).await?;
        let pin = Pin {
            name: new.name,
            reason: new.reason,
            pinned_at_secs: self.host.now_secs(),
            pinned_by: new.token,
        };
        let title = format!("release {application}@{release}");
        match self.catalog.pin(application.clone(), release, pin.clone()).await? {
            Pinned::Created => Ok((pin, true)),
            Pinned::Replaced => Ok((pin, false)),
            Pinned::NoSuchRelease => Err(AppError::not_found(title)),
            Pinned::TooMany => Err(AppError::rule(format!(
                "{title} has {PINS_MAX} pins, the maximum: remove one of them first"
            ))),
        }
    }

    /// Removes a pin.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such release or pin.
    pub async fn unpin(
        &self,
        application: &ApplicationName,
        selector: &Selector,
        (name, token): (&PinName, &str),
    ) -> Result<(), AppError> {
        let release = self.names.resolve(application, selector).await?;
        let entry = Entry::new(Action::Unpin, token, self.host.now_secs())
            .to_application(application)
            .with("release", release)
            .with("pin", name);
        if self.catalog.unpin(application.clone(), release, name.clone(), entry).await? {
            return Ok(());
        }
        Err(AppError::not_found(format!("pin {name} of release {application}@{release}")))
    }

    /// Returns the pins of a release, by name.
    ///
    /// # Errors
    /// [`AppError::NotFound`] if there is no such release.
    pub async fn pins(
        &self,
        application: &ApplicationName,
        selector: &Selector,
    ) -> Result<Vec<Pin>, AppError> {
        let release = self.names.resolve(application, selector).await?;
        Ok(self.catalog.pins(application.clone(), release).await?)
    }
}
