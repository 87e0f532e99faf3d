//! The remains after a signal. A separate test binary, because it simulates the end of its process.

use std::fs;
use std::io;
use std::path::PathBuf;

use seawall_store::new_file::{NewFile, NewFileError, Overwrite};
use seawall_store::unfinished::{self, Unfinished};

#[test]
fn unfinished_files_are_removed_when_the_process_ends_and_none_is_committed_after() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let write = |path: PathBuf| move || fs::write(path, b"half");
    let (kept, ()) = Unfinished::make(&path("kept"), write(path("kept"))).unwrap();
    let (dropped, ()) = Unfinished::make(&path("dropped"), write(path("dropped"))).unwrap();
    let (late, ()) = Unfinished::make(&path("late"), write(path("late"))).unwrap();
    let fill = || {
        fs::create_dir_all(path("folder/deep"))?;
        fs::write(path("folder/deep/file"), b"half")
    };
    let (_folder, ()) = Unfinished::make(&path("folder"), fill).unwrap();
    let whole = NewFile::create(&path("whole"), Overwrite::Refuse).unwrap();
    whole.commit().unwrap();
    let new = NewFile::create(&path("new"), Overwrite::Refuse).unwrap();
    kept.commit(|| Ok(())).unwrap();
    drop(dropped);
    assert!(!path("dropped").exists());

    unfinished::remove_all();

    let left = |name: &str| path(name).exists();
    assert!(left("kept") && left("whole") && !left("late") && !left("folder"));
    let refused = |error: io::Error| assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    refused(late.commit(|| fs::write(path("late"), b"whole")).unwrap_err());
    refused(Unfinished::make(&path("more"), write(path("more"))).unwrap_err());
    match new.commit().unwrap_err() {
        NewFileError::Io { source, .. } => refused(source),
        other => panic!("{other}"),
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}
