//! Follows the pages of a list to its end, and stops if a hostile registry sends no end.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;

use super::RegistryError;

/// The maximum number of pages in one list: at a hundred entries each, ten million entries.
const PAGES_MAX: usize = 100_000;

/// The pages of one list read so far.
#[derive(Debug)]
pub struct Pages<C> {
    what: &'static str,
    seen: HashSet<C>,
}

impl<C: Clone + Display + Eq + Hash> Pages<C> {
    /// Starts a list without pages. `what` is the request, as a phrase with a verb.
    #[must_use]
    pub fn of(what: &'static str) -> Self {
        Self { what, seen: HashSet::new() }
    }

    /// Takes the cursor at the end of a page and returns it, or `None` after the last page.
    ///
    /// # Errors
    /// Fails if the cursor was seen before, or the list has more than `PAGES_MAX` pages.
    pub fn follow(&mut self, next: Option<C>) -> Result<Option<C>, RegistryError> {
        let Some(cursor) = next else { return Ok(None) };
        let endless = |why: String| RegistryError::Protocol { what: self.what.to_owned(), why };
        if self.seen.len() >= PAGES_MAX {
            return Err(endless(format!("the list has more than {PAGES_MAX} pages")));
        }
        if !self.seen.insert(cursor.clone()) {
            return Err(endless(format!("the list returns to the page after `{cursor}`")));
        }
        Ok(Some(cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_followed_to_its_end_and_no_further() {
        let mut pages = Pages::of("list");
        assert_eq!(pages.follow(Some(1)).unwrap(), Some(1));
        assert_eq!(pages.follow(Some(9)).unwrap(), Some(9));
        assert_eq!(pages.follow(None).unwrap(), None);
        assert!(pages.follow(Some(1)).unwrap_err().to_string().contains("returns to"));

        let mut pages = Pages::of("list");
        let endless = (0..).find_map(|cursor| pages.follow(Some(cursor)).err()).unwrap();
        assert!(endless.to_string().contains("more than 100000 pages"), "{endless}");
    }
}
