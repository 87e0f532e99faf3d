//! The names that a host can store: names of files and folders on every platform.

use super::{DiskName, InvalidName, MachineName};

/// The files of a pulled folder beside the folders of machines.
const FOLDER_FILES: [&str; 2] = ["seawall.lock", "release.json"];
/// The device names of Windows, which apply with any extension.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Returns true if Windows opens a device instead of a file with this name.
fn is_device(name: &str) -> bool {
    let name = name.split('.').next().unwrap_or(name);
    let port = name.strip_prefix("com").or_else(|| name.strip_prefix("lpt"));
    DEVICES.contains(&name)
        || port.is_some_and(|n| n.len() == 1 && n.bytes().all(|byte| byte.is_ascii_digit()))
}

impl MachineName {
    /// Returns true if the machine's folder would clash with a file of a pulled folder.
    #[must_use]
    pub fn is_file_of_folder(&self) -> bool {
        FOLDER_FILES.contains(&self.as_str())
    }

    /// Fails if a host cannot store the machine's disks under its name.
    ///
    /// Existing releases may have such names. New releases are refused.
    ///
    /// # Errors
    /// If the name is one of a pulled folder's own files, or of a device on Windows.
    pub fn check_usable(&self) -> Result<(), InvalidName> {
        if self.is_file_of_folder() {
            let why = "a pulled folder has a file of this name; choose another";
            return Err(InvalidName::new(self.as_str(), "a machine name", why));
        }
        check_device(self.as_str(), "a machine name")
    }
}

impl DiskName {
    /// Fails if a host cannot store the disk under its name, as [`MachineName::check_usable`] does.
    ///
    /// # Errors
    /// If the name is one of a device on Windows.
    pub fn check_usable(&self) -> Result<(), InvalidName> {
        check_device(self.as_str(), "a disk name")
    }
}

fn check_device(name: &str, what: &'static str) -> Result<(), InvalidName> {
    if is_device(name) {
        let why = "it names a device on Windows, where Hyper-V runs; choose another";
        return Err(InvalidName::new(name, what, why));
    }
    Ok(())
}
