//! The tokens of a file, reloaded when the file changes.
//!
//! Each request checks if the file changed since the last read. A removed token is therefore
//! refused at once, without a restart of the registry. If the file becomes unusable, the tokens
//! stay as they were and the log has the reason.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{InvalidTokens, Tokens};

/// The time after a change during which every request reads the file. The clocks of file systems
/// tick, the coarsest every two seconds, and a second change within a tick is not visible in the
/// time stamps.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// A fingerprint of a file, which changes with every change of the file, except within one tick of
/// the file system's clock.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

/// The currently valid tokens.
#[derive(Debug)]
pub(crate) struct TokenBook {
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: Arc<Tokens>,
    stamp: Option<Stamp>,
    /// The time until which the stamp may hide a change.
    settles: Instant,
    /// The reason the current file cannot be used, logged once.
    problem: Option<String>,
}

impl TokenBook {
    /// Returns a book of fixed tokens.
    pub(crate) fn fixed(tokens: Tokens) -> Self {
        let settles = Instant::now();
        let tokens = Arc::new(tokens);
        let state = State { tokens, stamp: None, settles, problem: None };
        Self { file: None, state: Mutex::new(state) }
    }

    /// Reads the tokens of a file.
    ///
    /// # Errors
    /// As [`Tokens::read`].
    pub(crate) fn open(path: &Path) -> Result<Self, InvalidTokens> {
        let stamp = stamp(path);
        let tokens = Arc::new(Tokens::read(path)?);
        let state = State { tokens, stamp, settles: Instant::now() + SETTLE_TIME, problem: None };
        Ok(Self { file: Some(path.to_owned()), state: Mutex::new(state) })
    }

    /// Returns the tokens valid now.
    pub(crate) fn now(&self) -> Arc<Tokens> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.file {
            let found = stamp(path);
            let now = Instant::now();
            if found != state.stamp {
                state.settles = now + SETTLE_TIME;
                state.stamp = found;
                state.read(path);
            } else if now < state.settles {
                state.read(path);
            }
        }
        Arc::clone(&state.tokens)
    }
}

impl State {
    fn read(&mut self, path: &Path) {
        match Tokens::read(path) {
            Ok(tokens) => {
                if self.problem.take().is_some() || tokens != *self.tokens {
                    tracing::info!(path = %path.display(), "reloaded the token file");
                }
                self.tokens = Arc::new(tokens);
            }
            Err(error) => {
                let problem = error.to_string();
                if self.problem.as_ref() != Some(&problem) {
                    let (path, remedy) = (path.display(), error.remedy());
                    tracing::error!(
                        %error, %path, remedy,
                        "cannot use the token file: keeping the previous tokens"
                    );
                    self.problem = Some(problem);
                }
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let (modified, changed) = (
        (found.mtime(), found.mtime_nsec()),
        // Also changes with the mode, which decides if the file is accepted.
        (found.ctime(), found.ctime_nsec()),
    );
    Some((found.dev(), found.ino(), found.len(), modified, changed))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn knows(book: &TokenBook, secret: &str) -> bool {
        book.now().find(secret).is_some()
    }

    const ONE: &str = "0123456789abcdef1";
    const TWO: &str = "0123456789abcdef2";

    #[test]
    fn a_token_is_valid_as_long_as_the_file_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        write(&path, &format!("ci publisher {ONE}\n"), 0o600);
        let book = TokenBook::open(&path).unwrap();
        assert!(knows(&book, ONE) && !knows(&book, TWO));
        // The same length as before, and possibly within the same tick.
        write(&path, &format!("ci publisher {TWO}\n"), 0o600);
        assert!(knows(&book, TWO) && !knows(&book, ONE));
        // As Kubernetes and careful people do: another file is renamed into place.
        let other = dir.path().join("other");
        write(&other, &format!("ci publisher {ONE}\n"), 0o600);
        fs::rename(&other, &path).unwrap();
        assert!(knows(&book, ONE) && !knows(&book, TWO));
    }

    #[test]
    fn a_file_that_cannot_be_used_leaves_the_tokens_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let text = format!("ci publisher {ONE}\n");
        write(&path, &text, 0o600);
        let book = TokenBook::open(&path).unwrap();
        for (broken, mode) in
            [("", 0o600), ("ci admin x", 0o600), (&*text.replace('1', "2"), 0o644)]
        {
            write(&path, broken, mode);
            assert!(knows(&book, ONE), "{broken:?}");
        }
        fs::remove_file(&path).unwrap();
        assert!(knows(&book, ONE), "the file is missing");
        write(&path, &format!("ci publisher {TWO}\n"), 0o600);
        assert!(knows(&book, TWO) && !knows(&book, ONE), "a sound one counts again");
    }
}
