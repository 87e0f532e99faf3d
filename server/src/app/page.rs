//! Pages of listings.

/// A page of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T, K> {
    /// The items of the page.
    pub items: Vec<T>,
    /// The key of the last item, as the cursor of the next page. `None` on the last page.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Builds a page from up to `limit + 1` items; the extra item shows that there is a next page.
    pub(super) fn of(mut items: Vec<T>, limit: u32, key: impl FnOnce(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}
