//! Password files: lines of `HOST:PORT:DATABASE:USER:PASSWORD`, where `*` stands for anything.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The host of a server reached by a socket, in a password file.
const SOCKET_HOST: &str = "localhost";
/// The permissions that others have on a file.
const OF_OTHERS: u32 = 0o077;

/// Returns the password for `HOST, PORT, DATABASE, USER`. A file that others may read is ignored.
pub(super) fn find(path: &Path, wanted: [&str; 4]) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    if meta.mode() & OF_OTHERS != 0 {
        let path = path.display();
        tracing::warn!(%path, "others may read the password file, so it is ignored: chmod 0600");
        return None;
    }
    find_in(&fs::read_to_string(path).ok()?, wanted)
}

fn find_in(text: &str, [host, port, database, user]: [&str; 4]) -> Option<String> {
    let host = if host.starts_with('/') { SOCKET_HOST } else { host };
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let [own_host, own_port, own_database, own_user, password] = fields.as_slice() else {
            return None;
        };
        let pairs =
            [(own_host, host), (own_port, port), (own_database, database), (own_user, user)];
        pairs.iter().all(|(own, want)| *own == "*" || own == want).then(|| password.clone())
    })
}

/// Splits a line at colons. A backslash takes the meaning of the character after it.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = fields.len() - 1;
        match character {
            // The password is the last field, colons included.
            ':' if last < 4 => fields.push(String::new()),
            '\\' => fields[last].extend(characters.next()),
            other => fields[last].push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FILE: &str = "# host:port:database:user:password\n\
                        db:5432:images:me:one\n\
                        localhost:*:*:me:with\\:colon\n\
                        *:*:*:you:two:three\n";

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let find = |wanted| find_in(FILE, wanted);
        assert_eq!(find(["db", "5432", "images", "me"]).unwrap(), "one");
        assert_eq!(find(["/run/x", "1", "images", "me"]).unwrap(), "with:colon");
        assert_eq!(find(["other", "5432", "x", "you"]).unwrap(), "two:three");
        assert_eq!(find(["other", "5432", "x", "me"]), None);
    }

    #[test]
    fn a_file_that_others_may_read_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pgpass");
        fs::write(&path, FILE).unwrap();
        let wanted = ["db", "5432", "images", "me"];
        for (mode, found) in [(0o600, Some("one".to_owned())), (0o640, None)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(super::find(&path, wanted), found);
        }
    }
}
