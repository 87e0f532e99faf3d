//! Lengths of pages.

use seawall_api::v1::PAGE_COUNT_MAX;

use crate::http::voice::ApiError;

/// Checks the length of a page.
pub(crate) fn page_len(limit: Option<u32>) -> Result<u32, ApiError> {
    match limit.unwrap_or(PAGE_COUNT_MAX) {
        limit @ 1..=PAGE_COUNT_MAX => Ok(limit),
        other => {
            Err(ApiError::invalid(format!("limit must be 1 to {PAGE_COUNT_MAX}, not {other}")))
        }
    }
}
