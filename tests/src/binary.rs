//! The binary under test, built once by cargo in the profile and target directory of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the path of `seawall`, built if necessary.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

/// Builds the binary, if necessary, with the flags of `./dev test`.
///
/// Cargo gives a test the paths of the binaries of its own package only. This function therefore
/// builds the client's tests, which need the binary: the same features apply, so nothing is
/// compiled twice. The test itself runs from `TARGET/PROFILE/deps/TEST`, and the binary is
/// `TARGET/PROFILE/seawall`.
fn build() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).expect("a test lies in TARGET/PROFILE/deps");
    let target = folder.parent().expect("a profile's folder lies in the target directory");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["test", "--quiet", "--workspace", "--all-features", "--locked"])
        .args(["--test", "command_line", "--no-run", "--profile"])
        .arg(profile)
        .arg("--target-dir")
        .arg(target)
        .current_dir(root)
        .status()
        .expect("cargo can be run");
    assert!(built.success(), "the binary under test does not build");
    folder.join("seawall")
}
