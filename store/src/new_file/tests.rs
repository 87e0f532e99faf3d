use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// `may_be_unnamed`: files without a name until the commit, and `.part` files.
const WAYS: [bool; 2] = [true, false];

#[test]
fn a_file_has_its_name_when_it_is_whole_and_not_before() {
    for way in WAYS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let begin = |overwrite| NewFile::begin(&path, overwrite, 0o600, way);
        let new = begin(Overwrite::Refuse).unwrap();
        new.file().write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(new);
        assert!(names(dir.path()).is_empty(), "what broke off leaves nothing");

        let (first, late) = (begin(Overwrite::Refuse).unwrap(), NewFile::create_private(&path));
        first.file().write_all(b"first").unwrap();
        first.commit().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(late.unwrap().commit(), Err(NewFileError::Exists { .. })));
        assert!(matches!(begin(Overwrite::Refuse), Err(NewFileError::Exists { .. })));

        let third = begin(Overwrite::Replace).unwrap();
        third.file().write_all(b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        third.commit().unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), names(dir.path())),
            (b"third".to_vec(), vec!["out".into()])
        );
    }
}

#[test]
fn files_of_a_killed_process_are_removed_and_those_of_a_live_one_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let others = [".out.x.part", ".out..part", ".other.1.part", "out.1.part"];
    for name in [".out.1.part", ".out.4294967295.part"].iter().chain(&others) {
        fs::write(dir.path().join(name), b"x").unwrap();
    }
    std::os::unix::fs::symlink(dir.path().join("out.1.part"), dir.path().join(".out.7.part"))
        .unwrap();
    let live = NewFile::begin(&path, Overwrite::Refuse, 0o644, false).unwrap();
    drop(NewFile::create(&path, Overwrite::Refuse).unwrap());
    let mut expected: Vec<_> = others.iter().map(|name| (*name).to_owned()).collect();
    expected.extend([".out.7.part".to_owned(), format!(".out.{}.part", std::process::id())]);
    expected.sort();
    assert_eq!(names(dir.path()), expected);
    live.commit().unwrap();
}

/// As on exFAT, which has no hard links.
#[test]
fn a_placeholder_keeps_a_name_that_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::write(&from, b"new").unwrap();
    fs::write(&to, b"old").unwrap();
    let refused = name::rename_over_placeholder(&from, &to).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&to).unwrap(), b"old");
    fs::remove_file(&to).unwrap();
    name::rename_over_placeholder(&from, &to).unwrap();
    assert_eq!((fs::read(&to).unwrap(), names(dir.path())), (b"new".to_vec(), vec!["to".into()]));
    name::rename_over_placeholder(&from, &dir.path().join("x")).unwrap_err();
    assert_eq!(names(dir.path()), ["to"], "a rename that fails leaves no placeholder");
}

#[test]
fn files_that_belong_together_are_named_together_or_not_at_all() {
    for way in WAYS {
        let dir = tempfile::tempdir().unwrap();
        let begin = |name: &str| {
            NewFile::begin(&dir.path().join(name), Overwrite::Refuse, 0o644, way).unwrap()
        };
        let files = ["a", "b", "c"].map(begin);
        fs::write(dir.path().join("c"), b"first").unwrap();
        let refused = NewFile::commit_all(&files).unwrap_err();
        assert!(matches!(&refused, NewFileError::Exists { path } if path.ends_with("c")));
        drop(files);
        assert_eq!(names(dir.path()), ["c"]);
        NewFile::commit_all(&["a", "b"].map(begin)).unwrap();
        assert_eq!(names(dir.path()), ["a", "b", "c"]);
    }
}
