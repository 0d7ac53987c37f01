//! The account of a directory, attacked.

use std::os::unix::fs::MetadataExt;

use rustix::io::Errno;
use tempfile::TempDir;

use super::tree::measure;
use super::*;
use crate::tunables::FILES_DEPTH;

const BLOCK: u64 = 4_096;
const LIMITS: FileLimits = FileLimits { bytes: 16 * BLOCK, entries: 12 };

const READ: Open =
    Open { read: true, write: false, create: false, exclusive: false, truncate: false, directory: false };
const WRITE: Open = Open { write: true, create: true, ..READ };
const EMPTY: Open = Open { truncate: true, ..WRITE };

struct Scene {
    folder: TempDir,
    directory: Directory,
    root: Arc<fs::File>,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let directory = Directory::new(folder.path().join("a/b"), LIMITS);
        directory.prepare().unwrap();
        let root = directory.root().unwrap().clone();
        Self { folder, directory, root }
    }

    fn open(&self, path: &str, how: Open) -> Result<Arc<fs::File>, Errno> {
        self.directory.open(&self.root, path, how).map_err(errno)
    }

    fn write(&self, path: &str, blocks: u64) -> Result<(), Errno> {
        let file = self.open(path, EMPTY)?;
        self.directory.write(&file, &vec![1; (blocks * BLOCK) as usize], Place::At(0)).map_err(errno)
    }

    fn remove(&self, path: &str) -> Result<(), Errno> {
        self.directory.remove_file(&self.root, path).map_err(errno)
    }

    fn rename(&self, path: &str, to: &str) -> Result<(), Errno> {
        self.directory.rename(&self.root, path, &self.root, to).map_err(errno)
    }

    fn mkdir(&self, path: &str) -> Result<(), Errno> {
        self.directory.make_directory(&self.root, path).map_err(errno)
    }

    /// Blocks and entries that are there, whatever the account says.
    fn holds(&self) -> (u64, u64) {
        let counted = measure(&self.root).unwrap();
        (counted.bytes / BLOCK, counted.entries)
    }

    /// Insists that what is free fits, and no block more.
    fn assert_free(&self, blocks: u64) {
        assert_eq!(self.write("~", blocks + 1), Err(Errno::NOSPC));
        assert_eq!(self.write("~", blocks), Ok(()));
        self.remove("~").unwrap();
    }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

#[test]
fn what_does_not_fit_is_refused_whichever_way_it_comes() {
    let scene = Scene::new();
    scene.assert_free(16);
    scene.write("a", 10).unwrap();
    scene.assert_free(6);
    let file = scene.open("a", WRITE).unwrap();
    let directory = &scene.directory;
    let write = |bytes: &[u8], place| directory.write(&file, bytes, place).map_err(errno);
    assert_eq!(directory.set_size(&file, 16 * BLOCK + 1).map_err(errno), Err(Errno::NOSPC));
    assert_eq!(write(b"x", Place::At(16 * BLOCK)), Err(Errno::NOSPC));
    assert_eq!(write(b"x", Place::At(u64::MAX)), Err(Errno::FBIG));
    assert_eq!(write(&[1; 7 * BLOCK as usize], Place::End), Err(Errno::NOSPC));
    assert_eq!(file.metadata().unwrap().len(), 10 * BLOCK, "nothing of it was written");
    // A hole counts as if it were filled, and may be filled then.
    write(b"x", Place::At(16 * BLOCK - 1)).unwrap();
    assert_eq!(scene.write("b", 1), Err(Errno::NOSPC));
    write(&[2; 6 * BLOCK as usize], Place::At(10 * BLOCK)).unwrap();
    directory.set_size(&file, 1).unwrap();
    scene.remove("b").unwrap();
    scene.assert_free(15);
    assert_eq!(scene.open("a", EMPTY).map(drop), Ok(()));
    scene.assert_free(16);
}

#[test]
fn small_files_count_in_blocks_and_all_files_as_entries() {
    let scene = Scene::new();
    scene.mkdir("d").unwrap();
    scene.write("d/full", 4).unwrap();
    for number in 0..10 {
        let file = scene.open(&format!("d/{number}"), WRITE).unwrap();
        scene.directory.write(&file, b"x", Place::End).unwrap();
    }
    assert_eq!(scene.holds(), (15, 12));
    assert_eq!(scene.open("more", WRITE).map(drop), Err(Errno::NOSPC));
    assert_eq!(scene.mkdir("more"), Err(Errno::NOSPC));
    scene.remove("d/0").unwrap();
    scene.mkdir("more").unwrap();
    assert_eq!(scene.directory.remove_directory(&scene.root, "d").map_err(errno), Err(Errno::NOTEMPTY));
    scene.directory.remove_directory(&scene.root, "more").unwrap();
    scene.assert_free(2);
}

#[test]
fn a_file_without_a_name_takes_room_until_it_is_closed() {
    let scene = Scene::new();
    scene.write("a", 10).unwrap();
    let open = scene.open("a", WRITE).unwrap();
    scene.remove("a").unwrap();
    scene.assert_free(6);
    assert_eq!(scene.directory.write(&open, b"x", Place::At(10 * BLOCK)).map_err(errno), Err(Errno::NOSPC));
    scene.directory.set_size(&open, 0).unwrap();
    scene.assert_free(6);
    drop(open);
    scene.assert_free(16);

    scene.write("a", 10).unwrap();
    scene.write("b", 2).unwrap();
    let replaced = scene.open("a", READ).unwrap();
    scene.rename("b", "a").unwrap();
    assert_eq!(replaced.metadata().unwrap().size(), 10 * BLOCK, "who reads it reads on");
    scene.assert_free(4);
    drop(replaced);
    scene.assert_free(14);
}

#[test]
fn paths_stay_inside() {
    let scene = Scene::new();
    fs::write(scene.folder.path().join("secret"), "secret").unwrap();
    scene.mkdir("d").unwrap();
    scene.write("d/a", 1).unwrap();
    // What only somebody with a shell can make.
    let inside = scene.folder.path().join("a/b");
    std::os::unix::fs::symlink("../../secret", inside.join("link")).unwrap();
    std::os::unix::fs::symlink("../..", inside.join("up")).unwrap();
    for how in [READ, WRITE, EMPTY] {
        for path in ["../secret", "../../secret", "d/../../secret", "/etc/passwd", "d/../../../etc/passwd"] {
            assert_eq!(scene.open(path, how).map(drop), Err(Errno::PERM), "{path}");
        }
        assert!(scene.open("link", how).is_err() && scene.open("up/secret", how).is_err());
    }
    let d = scene.open("d", READ).unwrap();
    assert_eq!(scene.directory.open(&d, "../link", READ).map(drop).map_err(errno), Err(Errno::PERM));
    assert_eq!(scene.directory.open(&d, "../d/a", READ).map(drop).map_err(errno), Err(Errno::PERM));
    assert!(scene.open("d/../d/./a", READ).is_ok());
    for (path, to) in [("d/a", "../a"), ("../../secret", "mine"), ("d", "d/d")] {
        assert!(scene.rename(path, to).is_err(), "{path} to {to}");
    }
    assert!(scene.remove("../../secret").is_err() && scene.remove("up/secret").is_err());
    assert_eq!(fs::read_to_string(scene.folder.path().join("secret")).unwrap(), "secret");
    for path in ["", "a\0b", &"x".repeat(300)] {
        assert!(scene.open(path, WRITE).is_err(), "{path:?}");
    }
}

#[test]
fn directories_have_a_depth_and_do_not_move_deeper() {
    let folder = TempDir::new().unwrap();
    let directory = Directory::new(folder.path().join("a"), FileLimits { bytes: u64::MAX, entries: 1_000 });
    directory.prepare().unwrap();
    let mut at = directory.root().unwrap().clone();
    for _ in 0..FILES_DEPTH {
        directory.make_directory(&at, "d").unwrap();
        at = directory.open(&at, "d", READ).unwrap();
    }
    assert_eq!(directory.make_directory(&at, "d").map_err(errno), Err(Errno::NAMETOOLONG));
    assert_eq!(directory.open(&at, "f", WRITE).map(drop).map_err(errno), Err(Errno::NAMETOOLONG));
    let root = directory.root().unwrap();
    directory.make_directory(root, "e").unwrap();
    directory.make_directory(root, "e/e").unwrap();
    assert_eq!(directory.rename(root, "e", root, "d/e").map_err(errno), Err(Errno::OPNOTSUPP));
    directory.rename(root, "e", root, "f").unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
}

#[test]
fn the_account_is_what_is_there_after_whatever_was_done_by_many_at_once() {
    let scene = Arc::new(Scene::new());
    let workers: Vec<_> = (0..4_u64)
        .map(|worker| {
            let scene = scene.clone();
            std::thread::spawn(move || {
                // A linear congruential generator: the same steps in every run of one thread.
                let mut state = worker;
                let mut next = move |below: u64| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33) % below
                };
                let mut kept = Vec::new();
                for _ in 0..2_000 {
                    let (one, other) = (format!("{}", next(6)), format!("{}", next(6)));
                    let _ = match next(8) {
                        0..3 => scene.write(&one, next(9)),
                        3 => scene.remove(&one),
                        4 => scene.rename(&one, &other),
                        5 => scene.mkdir(&one),
                        6 => scene.directory.remove_directory(&scene.root, &one).map_err(errno),
                        _ => scene.open(&one, READ).map(|file| kept.push(file)),
                    };
                    if kept.len() > 3 {
                        kept.clear();
                    }
                    scene.directory.audit();
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let (blocks, entries) = scene.holds();
    if entries < 12 {
        scene.assert_free(16 - blocks);
    }
}

#[test]
fn what_was_there_before_a_start_counts_and_what_is_nobody_s_goes() {
    let data = TempDir::new().unwrap();
    let files = || Files::new(data.path(), LIMITS);
    let (app, function, other) = (AppName::default_app(), FunctionId::generate(), FunctionId::generate());
    for (function, blocks) in [(function, 10_usize), (other, 1)] {
        let directory = files().of(&app, function);
        directory.prepare().unwrap();
        let root = directory.root().unwrap();
        let file = directory.open(root, "a", WRITE).unwrap();
        directory.write(&file, &vec![1; blocks * BLOCK as usize], Place::End).unwrap();
    }
    let later = files();
    later.sweep(|owner, known| *owner == app && known == function).unwrap();
    assert_eq!(names_below(&data.path().join("apps/default/files")).unwrap(), [function.to_string()]);
    let directory = later.of(&app, function);
    directory.prepare().unwrap();
    let root = directory.root().unwrap();
    let file = directory.open(root, "b", WRITE).unwrap();
    assert!(directory.write(&file, &[1; 7 * BLOCK as usize], Place::End).is_err());
    directory.write(&file, &[1; 6 * BLOCK as usize], Place::End).unwrap();

    later.delete(&app, function).unwrap();
    assert_eq!(directory.open(root, "c", WRITE).map(drop).map_err(errno), Err(Errno::NOENT), "who has it still");
    assert_eq!(names_below(&data.path().join("apps/default/files")).unwrap(), [""; 0]);
    later.delete(&app, function).unwrap();
}
