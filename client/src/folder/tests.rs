//! Tests with symbolic links: nothing outside a folder is read, written or removed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// A folder, and files outside of it that must stay unchanged.
struct World {
    dir: tempfile::TempDir,
    folder: Folder,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/file"), "outside").unwrap();
        let folder = Folder::open(&dir.path().join("root")).unwrap();
        Self { dir, folder }
    }

    fn link(&self, name: &str, target: &str) {
        symlink(self.dir.path().join(target), self.dir.path().join("root").join(name)).unwrap();
    }

    fn is_untouched(&self) {
        let names = fs::read_dir(self.dir.path().join("outside")).unwrap().count();
        let text = fs::read_to_string(self.dir.path().join("outside/file")).unwrap();
        assert_eq!((names, text.as_str()), (1, "outside"));
    }
}

fn path(text: &str) -> FolderPath {
    FolderPath::new(text).unwrap()
}

fn is_link<T: std::fmt::Debug>(result: Result<T, HostError>) {
    let error = result.unwrap_err();
    assert_eq!(Untouchable::of(&error.source), Some(Untouchable::Link), "{error:?}");
}

#[test]
fn a_link_is_refused_as_a_name_and_on_the_way_to_one() {
    let world = World::new();
    world.link("folder", "outside");
    world.link("file", "outside/file");
    let folder = &world.folder;
    for name in ["file", "folder/file"] {
        is_link(folder.file(&path(name)));
        is_link(folder.file_to_write(&path(name)));
        is_link(folder.read(&path(name), 100));
    }
    is_link(folder.folder(&path("folder")));
    is_link(folder.make_folder(&path("folder"), mode::FOLDER));
    is_link(folder.make_folder(&path("folder/new"), mode::FOLDER));
    is_link(folder.create(&path("folder/new"), mode::FILE));
    is_link(folder.replace(&path("folder/new"), b"x", mode::FILE));
    is_link(folder.remove(&path("folder/file")));
    is_link(folder.remove_tree(&path("folder/file")));
    is_link(folder.look(&path("folder/file")));
    is_link(folder.sync_folder_of(&path("folder/file")));
    fs::write(world.dir.path().join("root/mine"), "mine").unwrap();
    is_link(folder.rename(&path("mine"), &path("folder/mine")));
    world.is_untouched();
}

#[test]
fn a_new_file_replaces_a_link_and_not_its_target() {
    let world = World::new();
    for name in ["one", "two", ".two.part", "three"] {
        world.link(name, "outside/file");
    }
    let folder = &world.folder;
    folder.create(&path("one"), mode::FILE).unwrap().write_all(b"1").unwrap();
    folder.replace(&path("two"), b"2", mode::FILE).unwrap();
    folder.remove(&path("three")).unwrap();
    assert_eq!(folder.read(&path("one"), 1).unwrap(), b"1");
    assert_eq!(folder.read(&path("two"), 1).unwrap(), b"2");
    assert!(!folder.has(&path("three")) && !folder.has(&path(".two.part")));
    world.is_untouched();
}

#[test]
fn a_tree_is_removed_without_what_its_links_name() {
    let world = World::new();
    fs::create_dir_all(world.dir.path().join("root/tree/a/b")).unwrap();
    fs::write(world.dir.path().join("root/tree/a/b/c"), "").unwrap();
    world.link("tree/a/folder", "outside");
    world.link("tree/file", "outside/file");
    world.link("link", "outside");
    world.folder.remove_tree(&path("tree")).unwrap();
    world.folder.remove_tree(&path("link")).unwrap();
    world.folder.remove_tree(&path("nothing/here")).unwrap();
    assert_eq!(world.folder.names(9).unwrap(), Vec::<OsString>::new());
    world.is_untouched();
}

#[test]
fn a_file_with_two_names_is_read_and_never_written() {
    let world = World::new();
    let outside = world.dir.path().join("outside/file");
    fs::hard_link(&outside, world.dir.path().join("root/file")).unwrap();
    assert!(world.folder.file(&path("file")).is_ok());
    let error = world.folder.file_to_write(&path("file")).unwrap_err();
    assert_eq!(Untouchable::of(&error.source), Some(Untouchable::HardLinks { links: 2 }));
    world.folder.replace(&path("file"), b"new", mode::FILE).unwrap();
    world.is_untouched();
    assert!(world.folder.file_to_write(&path("file")).is_ok(), "it is a file of its own now");
}

#[test]
fn a_pipe_and_a_folder_are_no_files_and_block_nobody() {
    let world = World::new();
    let pipe = world.dir.path().join("root/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::create_dir(world.dir.path().join("root/folder")).unwrap();
    let error = world.folder.read(&path("pipe"), 100).unwrap_err();
    assert_eq!(Untouchable::of(&error.source), Some(Untouchable::NotAFile));
    assert!(world.folder.file_to_write(&path("pipe")).is_err());
    assert!(world.folder.file(&path("folder")).is_err());
}

#[test]
fn the_folders_own_path_may_be_a_link() {
    let world = World::new();
    symlink("root", world.dir.path().join("alias")).unwrap();
    let folder = Folder::open(&world.dir.path().join("alias")).unwrap();
    folder.make_folder(&path("a/b"), mode::FOLDER).unwrap();
    folder.replace(&path("a/b/c"), b"c", mode::PROGRAM).unwrap();
    let made = world.dir.path().join("root/a/b/c");
    assert_eq!(fs::read(&made).unwrap(), b"c");
    assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o7022, 0);
    assert!(folder.read(&path("a/b/c"), 0).is_err(), "longer than it may be");
}
