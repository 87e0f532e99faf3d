//! Names of files in a package: many spellings of one path, confined to the package.

use super::OvfError;

/// The maximum length of a file's name in a package, in bytes.
pub const HREF_LEN_MAX: usize = 1024;

/// The reason a name is not a file's name in the package.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outside(pub(super) &'static str);

impl Outside {
    /// Returns the error for `href`, with control characters escaped.
    pub(super) fn of(self, href: &str) -> OvfError {
        let href = href.chars().take(HREF_LEN_MAX).flat_map(char::escape_debug).collect();
        OvfError::Escapes { href, why: self.0 }
    }
}

/// Resolves a name to a path from the package's root, with single `/` separators.
///
/// A backslash is a separator, too. `..` is resolved, but not above the root.
///
/// # Errors
/// Fails if the name is absolute, leads above the root, or is not a file's name.
pub(super) fn canonical(name: &str) -> Result<String, Outside> {
    if name.is_empty() || name.len() > HREF_LEN_MAX {
        return Err(Outside("it is empty or too long"));
    }
    if name.chars().any(char::is_control) {
        return Err(Outside("it has a control character"));
    }
    if absolute(name).is_some() {
        return Err(Outside("it is absolute"));
    }
    let mut parts = Vec::new();
    for part in name.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Err(Outside("it goes above the package")),
            ".." => {}
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(Outside("it names a folder"));
    }
    Ok(parts.join("/"))
}

/// Resolves `name` relative to a folder of the package. The root is empty.
pub(super) fn joined(folder: &str, name: &str) -> Result<String, Outside> {
    // An absolute name gets its own error.
    if folder.is_empty() || absolute(name).is_some() {
        return canonical(name);
    }
    if name.is_empty() {
        return Err(Outside("it is empty or too long"));
    }
    canonical(&format!("{folder}/{name}"))
}

/// Returns the folder of a canonical name, empty for the root.
pub(super) fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Returns the last part of a name.
pub(super) fn base(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

/// Returns the absolute path in a name: of Unix, of Windows, or in a `file:` URI.
pub(super) fn absolute(name: &str) -> Option<&str> {
    let path = match name.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file:") => {
            let path = &name[5..];
            path.strip_prefix("//").unwrap_or(path)
        }
        _ => name,
    };
    let bytes = path.as_bytes();
    let has_drive = bytes.len() > 1 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    let is_absolute = has_drive || path.len() < name.len() || path.starts_with(['/', '\\']);
    is_absolute.then_some(path)
}

/// Returns true if a name begins with a URI's scheme, such as `http:`.
pub(super) fn has_scheme(name: &str) -> bool {
    name.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Decodes a URI's escapes. `None` if one is malformed, or if there is none.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_are_one_name() {
        for (name, expect) in [
            ("disk.vmdk", "disk.vmdk"),
            ("./disk.vmdk", "disk.vmdk"),
            (".//a/./disk.vmdk", "a/disk.vmdk"),
            ("a\\disk.vmdk", "a/disk.vmdk"),
            ("a/../disk.vmdk", "disk.vmdk"),
            ("a/b/../../c", "c"),
            ("my disk (1)+#.vmdk", "my disk (1)+#.vmdk"),
            ("vm: disk.vmdk", "vm: disk.vmdk"),
            ("..vmdk", "..vmdk"),
        ] {
            assert_eq!(canonical(name).as_deref(), Ok(expect), "{name}");
        }
        assert_eq!(joined("export/vm", "../disk").as_deref(), Ok("export/disk"));
        assert_eq!(joined("", "disk").as_deref(), Ok("disk"));
    }

    #[test]
    fn names_that_lead_out_are_none() {
        for name in [
            "",
            ".",
            "a/..",
            "..",
            "../x",
            "a/../../x",
            "..\\x",
            "/x",
            "\\x",
            "//host/x",
            "C:x",
            "c:\\x",
            "file:///x",
            "FILE:x",
            "a\nb",
            "a\0",
        ] {
            assert!(canonical(name).is_err(), "{name:?}");
        }
        assert!(joined("a", "../../x").is_err());
        assert!(joined("a", "/x").is_err());
        assert!(joined("a", "").is_err());
        assert!(canonical(&"x".repeat(HREF_LEN_MAX + 1)).is_err());
    }

    #[test]
    fn escapes_are_undone_once() {
        assert_eq!(percent_decoded("my%20disk").as_deref(), Some("my disk"));
        assert_eq!(percent_decoded("%2e%2e/x").as_deref(), Some("../x"));
        assert_eq!(percent_decoded("%2520").as_deref(), Some("%20"));
        for text in ["plain", "%", "%2", "%zz", "%ff"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
    }
}
