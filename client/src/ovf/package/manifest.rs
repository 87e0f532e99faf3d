//! The manifest: a digest for each file of a package.
//!
//! A manifest detects damage. It does not prove the origin: an attacker who changes a file can also
//! write a new manifest.

use std::fmt::Write as _;

use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::ovf::OvfError;

/// The maximum length of a manifest in bytes: the most files with the longest names.
pub const MANIFEST_LEN_MAX: u64 = 8 << 20;

/// A digest algorithm of manifests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// SHA-1, the only algorithm of OVF 1.0.
    Sha1,
    /// SHA-256, the most common.
    Sha256,
    /// SHA-384, a truncated SHA-512.
    Sha384,
    /// SHA-512, required by OVF 2 and allowed by OVF 1.1.
    Sha512,
}

impl Algorithm {
    /// Returns the algorithm's name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
        }
    }

    /// Returns the number of hexadecimal digits of a digest.
    fn digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Parses `SHA256`, `sha-256` and OpenSSL 3's `SHA2-256`.
    fn parse(text: &str) -> Option<Self> {
        let name: String = text.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect();
        let name = name.to_ascii_uppercase();
        let bits = name.strip_prefix("SHA")?;
        let bits = if bits.len() > 3 { bits.strip_prefix('2')? } else { bits };
        Self::ALL.into_iter().find(|it| it.as_str().strip_prefix("SHA") == Some(bits))
    }

    /// Returns the algorithm whose digests have `digits` hexadecimal digits.
    fn of_digits(digits: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.digits() == digits)
    }
}

/// A line of a manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The digest's algorithm.
    pub algorithm: Algorithm,
    /// The file's name in the package.
    pub file: String,
    /// The digest in lower-case hexadecimal.
    pub digest: String,
}

/// Parses a manifest of lines `SHA256(name)= digest`, or `digest  name` as in `sha256sum`.
///
/// Lines end with CR, LF or both, or with NUL as in `sha256sum --zero`. Empty lines and comments
/// with `#` are ignored.
///
/// # Errors
/// Fails with the number of the first malformed line.
pub fn parse(text: &str) -> Result<Vec<Line>, OvfError> {
    let text = text.replace("\r\n", "\n");
    let lines = text.split(['\r', '\n', '\0']).enumerate();
    let told = lines.map(|(at, line)| (at + 1, line.trim_matches(is_padding)));
    told.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| parse_line(line).map_err(|why| OvfError::Manifest { line: at, why }))
        .collect()
}

fn is_padding(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\0' | '\u{feff}' | '\u{1a}')
}

fn parse_line(line: &str) -> Result<Line, &'static str> {
    const FORM: &str = "reads neither `ALGORITHM(file)= digest` nor `digest  file`";
    const DIGEST: &str = "has a digest of the wrong length, or one that is not hexadecimal";
    if let Some(line) = coreutils(line) {
        return Ok(line);
    }
    let (algorithm, rest) = line.split_once('(').ok_or(FORM)?;
    // A name may contain brackets, a digest cannot.
    let (file, digest) = rest.rsplit_once(')').ok_or(FORM)?;
    let digest = digest.trim_start().strip_prefix('=').ok_or(FORM)?.trim().to_ascii_lowercase();
    let algorithm = Algorithm::parse(algorithm.trim());
    let algorithm = algorithm.ok_or("has an algorithm that is not SHA-1, 256, 384 or 512")?;
    if digest.len() != algorithm.digits() || !is_hex(&digest) {
        return Err(DIGEST);
    }
    let file = unquoted(file.trim());
    if file.is_empty() {
        return Err("names no file");
    }
    Ok(Line { algorithm, file: file.to_owned(), digest })
}

/// Removes the quotes that some writers put around a name.
fn unquoted(name: &str) -> &str {
    let inner = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(name)
}

/// Parses `digest  file`, or `digest *file` for binary mode.
fn coreutils(line: &str) -> Option<Line> {
    // A leading backslash means that backslashes in the name are doubled.
    let escaped = line.strip_prefix('\\');
    let (digest, file) = escaped.unwrap_or(line).split_once(|c: char| c.is_ascii_whitespace())?;
    let algorithm = Algorithm::of_digits(digest.len()).filter(|_| is_hex(digest))?;
    let file = file.trim_start();
    let file = file.strip_prefix('*').unwrap_or(file);
    let digest = digest.to_ascii_lowercase();
    let file = if escaped.is_some() { file.replace("\\\\", "\\") } else { file.to_owned() };
    (!file.is_empty()).then_some(Line { algorithm, file, digest })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Writes a manifest of SHA-256 digests.
#[must_use]
pub fn write<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (file, digest) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "SHA256({file})= {digest}");
    }
    text
}

/// A hasher for the digests of manifests.
#[derive(Clone, Debug)]
pub enum Hasher {
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-384.
    Sha384(Sha384),
    /// SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// Returns a hasher with no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha384 => Self::Sha384(Sha384::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// Hashes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest in lower-case hexadecimal.
    #[must_use]
    pub fn finish(self) -> String {
        match self {
            Self::Sha1(hasher) => hex(&hasher.finalize()),
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Sha384(hasher) => hex(&hasher.finalize()),
            Self::Sha512(hasher) => hex(&hasher.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        let abc = |algorithm| digest(algorithm, b"abc");
        assert_eq!(abc(Algorithm::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(abc(Algorithm::Sha256).starts_with("ba7816bf8f01cfea414140de5dae2223"));
        assert!(abc(Algorithm::Sha384).starts_with("cb00753f45a35e8bb5a03d699ac65007"));
        assert!(abc(Algorithm::Sha512).starts_with("ddaf35a193617abacc417349ae204131"));
    }

    #[test]
    fn lines_are_read_as_tools_write_them() {
        let one = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let two = "b".repeat(64);
        let text = format!(
            "SHA1(web.ovf)= {one}\r\nSHA256 (disk (1).vmdk) = {}\n\nSHA2-256(x)={two}\n",
            two.to_uppercase()
        );
        let lines = parse(&text).unwrap();
        let files: Vec<_> = lines.iter().map(|line| &*line.file).collect();
        assert_eq!(files, ["web.ovf", "disk (1).vmdk", "x"]);
        assert_eq!(
            lines[0],
            Line { algorithm: Algorithm::Sha1, file: "web.ovf".to_owned(), digest: one.to_owned() }
        );
        assert_eq!(lines[1].digest, two);
        let again = write(lines[1..].iter().map(|line| (&*line.file, &*line.digest)));
        assert_eq!(parse(&again).unwrap(), lines[1..]);
    }

    #[test]
    fn every_writers_spelling_of_a_line_is_one_line() {
        let digest = "a9".repeat(32);
        let expect = Line {
            algorithm: Algorithm::Sha256,
            file: "my disk.vmdk".to_owned(),
            digest: digest.clone(),
        };
        for spelled in ["SHA256", "sha256", "SHA-256", "Sha-256", "SHA2-256", "sha2_256", "SHA 256"]
        {
            for form in ["(my disk.vmdk)= ", " (my disk.vmdk) = ", "( my disk.vmdk )="] {
                let text = format!("{spelled}{form}{digest}");
                assert_eq!(parse(&text).unwrap(), std::slice::from_ref(&expect), "{text}");
            }
        }
        for line in
            [format!("{digest}  my disk.vmdk"), format!("{} *my disk.vmdk", digest.to_uppercase())]
        {
            assert_eq!(parse(&line).unwrap(), std::slice::from_ref(&expect), "{line}");
        }
        let lines = format!("\u{feff}# made by hand\rSHA256(my disk.vmdk)= {digest}\r\r\n\0");
        assert_eq!(parse(&lines).unwrap(), [expect]);
        for (digits, algorithm) in
            [(40, Algorithm::Sha1), (96, Algorithm::Sha384), (128, Algorithm::Sha512)]
        {
            let name = algorithm.as_str().to_lowercase().replace("sha", "SHA-");
            for line in
                [format!("{}  x", "0".repeat(digits)), format!("{name}(x)= {}", "0".repeat(digits))]
            {
                assert_eq!(parse(&line).unwrap()[0].algorithm, algorithm, "{line}");
            }
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        for text in [
            "x",
            "SHA1(a)",
            "SHA1(a)=",
            "MD5(a)= 00",
            "SHA3-256(a)= 00",
            "00  a",
            "SHA224(a)= 00",
            "SHA1(a)= 00",
            "SHA1()= 00",
            "SHA1(a)= g9993e364706816aba3e25717850c26c9cd0d89d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
