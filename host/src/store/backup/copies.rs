//! A directory of copies of a data directory, made one after the other while a host serves it; each takes what has changed.
//!
//! ```text
//! about.txt              what this is
//! chunks/ab/ab12…        pieces of files, by the SHA-256 of their content; written once, never changed
//! points/<time>.json     which pieces make the files of one point in time
//! ```
//! A point is written when all its pieces are on the disk, so one that is there is complete, wherever a process was cut off.
//! Everything that was acknowledged before its time is in it. The directory may be copied on with any tool, pieces
//! first. Records of executions are left out: they change with every request, and are no data of the apps.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::restore::{is_expected, make_directory};
use super::{
    BackupError, PACKAGES, app_databases, check_data, copy_database, entries, hexadecimal, hold, packages, private,
};
use crate::store::SYSTEM_FILE;
use crate::store::tenant::install_allocator;

/// The text of the file that says what the directory is. Another layout gets another number.
const FORMAT: &str = "caddis copies, format 1\n";

/// Bytes of a piece; the last one of a file may have less. A change of a page costs a piece.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Times of files come in steps of some milliseconds: one that was changed so lately may have been changed once more.
const RECENT: Duration = Duration::from_secs(2);

/// A directory of copies.
pub struct Copies {
    directory: PathBuf,
    /// What the last point had of each file, and how the file looked then, where that says something.
    last: BTreeMap<String, (Option<Looks>, Content)>,
}

/// By what one sees that a file has changed: lengths and times of it and of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Looks(Vec<Option<(u64, SystemTime)>>);

/// A file as pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    bytes: u64,
    chunks: Vec<String>,
}

/// What there was at one moment.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Point {
    files: BTreeMap<String, Content>,
}

/// What making a point did.
#[derive(Debug)]
pub struct Added {
    /// The time of the point: what was acknowledged before it is there.
    pub taken_at: Timestamp,
    /// Whether it was written; not when nothing has changed since the last one.
    pub is_new: bool,
    /// Bytes of pieces that were not there before.
    pub bytes: u64,
}

impl Copies {
    /// Opens a directory of copies; makes it when there is none or an empty one.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn open(directory: &Path) -> Result<Self, BackupError> {
        let about = directory.join("about.txt");
        match fs::read_to_string(&about) {
            Ok(text) if text == FORMAT => {}
            Ok(_) => return Err(BackupError::unfit(directory, "its copies are not of this version of caddis")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !entries(directory)?.is_empty() {
                    let problem = "copies are made in a new or empty directory, or one that has copies already";
                    return Err(BackupError::unfit(directory, problem));
                }
                for part in ["chunks", "points"] {
                    make_directory(&directory.join(part))?;
                }
                private(&about)?.write_all(FORMAT.as_bytes()).map_err(BackupError::io(&about))?;
                sync(directory)?;
            }
            Err(error) => return Err(BackupError::io(&about)(error)),
        }
        Ok(Self { directory: directory.to_owned(), last: BTreeMap::new() })
    }

    /// Makes a point of what a data directory holds now, unless that is what the last one has. Blocks.
    ///
    /// # Errors
    /// See [`BackupError`]. The points there are stay as they are.
    pub fn add(&mut self, data: &Path) -> Result<Added, BackupError> {
        install_allocator();
        check_data(data)?;
        let _alone = self.lock()?;
        for left in entries(&self.directory)?.into_iter().filter(|name| name.starts_with("part.")) {
            let left = self.directory.join(left);
            fs::remove_file(&left).map_err(BackupError::io(&left))?;
        }
        let taken_at = Timestamp::now();
        let mut copied = BTreeMap::new();
        let mut bytes = 0;
        let databases = [SYSTEM_FILE.to_owned()].into_iter().chain(app_databases(data)?);
        for name in databases.chain(packages(data)?) {
            // Taken before the copy: a change in between is one for the next point.
            let looks = Looks::of(&data.join(&name)).map_err(BackupError::io(&data.join(&name)))?;
            let content = match self.last.get(&name) {
                Some((Some(before), content)) if *before == looks => Some(content.clone()),
                _ => self.copy(data, &name, &mut bytes)?,
            };
            // An app that was deleted meanwhile has none.
            if let Some(content) = content {
                copied.insert(name, (looks.unless_recent(), content));
            }
        }
        self.last = copied;
        let files = self.last.iter().map(|(name, (_, content))| (name.clone(), content.clone())).collect();
        let point = Point { files };
        let points = points(&self.directory)?;
        let is_new = match points.last() {
            Some(last) => read(&self.directory, *last)? != point,
            None => true,
        };
        if is_new {
            let text = serde_json::to_vec(&point).map_err(|error| BackupError::io(&self.directory)(error.into()))?;
            self.put(&text, &file_of(&self.directory, taken_at))?;
        }
        self.thin_out(&points, taken_at)?;
        Ok(Added { taken_at, is_new, bytes })
    }

    /// One process at a time.
    fn lock(&self) -> Result<File, BackupError> {
        let path = self.directory.join("about.txt");
        let file = File::open(&path).map_err(BackupError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                Err(BackupError::unfit(&self.directory, "another process is at work there"))
            }
            Err(TryLockError::Error(error)) => Err(BackupError::io(&path)(error)),
        }
    }

    fn copy(&self, data: &Path, name: &str, bytes: &mut u64) -> Result<Option<Content>, BackupError> {
        let path = data.join(name);
        if name.starts_with(PACKAGES) {
            return self.split(&path, bytes).map(Some);
        }
        let held = match hold(data, name.to_owned()) {
            Err(_) if !path.exists() => return Ok(None),
            held => held?,
        };
        let copy = self.directory.join("part.sqlite");
        copy_database(&held.sqlite, &copy).map_err(BackupError::database(&path))?;
        drop(held);
        let content = self.split(&copy, bytes)?;
        fs::remove_file(&copy).map_err(BackupError::io(&copy))?;
        Ok(Some(content))
    }

    fn split(&self, path: &Path, bytes: &mut u64) -> Result<Content, BackupError> {
        let mut file = File::open(path).map_err(BackupError::io(path))?;
        let mut content = Content { bytes: 0, chunks: Vec::new() };
        let mut piece = Vec::with_capacity(CHUNK_BYTES);
        loop {
            piece.clear();
            Read::by_ref(&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut piece).map_err(BackupError::io(path))?;
            if piece.is_empty() {
                return Ok(content);
            }
            let name = hexadecimal(Sha256::new_with_prefix(&piece));
            let target = chunk(&self.directory, &name);
            if !fs::metadata(&target).is_ok_and(|found| found.len() == piece.len() as u64) {
                self.put(&piece, &target)?;
                *bytes += piece.len() as u64;
            }
            content.bytes += piece.len() as u64;
            content.chunks.push(name);
        }
    }

    /// Writes a file, whole or not at all.
    fn put(&self, content: &[u8], target: &Path) -> Result<(), BackupError> {
        let part = self.directory.join("part.file");
        let _ = fs::remove_file(&part);
        let mut out = private(&part)?;
        out.write_all(content).and_then(|()| out.sync_all()).map_err(BackupError::io(&part))?;
        let directory = target.parent().unwrap_or(&self.directory);
        if !directory.exists() {
            make_directory(directory)?;
            sync(&self.directory.join("chunks"))?;
        }
        fs::rename(&part, target).map_err(BackupError::io(target))?;
        sync(directory)
    }

    /// Removes points that others stand for by now, and the pieces no point has.
    fn thin_out(&self, points: &[Timestamp], now: Timestamp) -> Result<(), BackupError> {
        let gone = superseded(points, now);
        if gone.is_empty() {
            return Ok(());
        }
        for point in &gone {
            let path = file_of(&self.directory, *point);
            fs::remove_file(&path).map_err(BackupError::io(&path))?;
        }
        sync(&self.directory.join("points"))?;
        let mut used = HashSet::new();
        for point in self::points(&self.directory)? {
            let Point { files } = read(&self.directory, point)?;
            used.extend(files.into_values().flat_map(|content| content.chunks));
        }
        let chunks = self.directory.join("chunks");
        for group in entries(&chunks)? {
            for name in entries(&chunks.join(&group))? {
                if !used.contains(&name) {
                    let path = chunk(&self.directory, &name);
                    fs::remove_file(&path).map_err(BackupError::io(&path))?;
                }
            }
        }
        Ok(())
    }
}

impl Looks {
    fn of(path: &Path) -> io::Result<Self> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let look = |path: &Path| match fs::metadata(path) {
            Ok(file) => Ok(Some((file.len(), file.modified()?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Self(vec![look(path)?, look(Path::new(&log))?]))
    }

    /// Nothing where the file could be changed once more and look the same.
    fn unless_recent(self) -> Option<Self> {
        let age = |time: &SystemTime| time.elapsed().unwrap_or_default();
        let is_recent = self.0.iter().flatten().any(|(_, changed)| age(changed) < RECENT);
        (!is_recent).then_some(self)
    }
}

/// Whether this is a directory of copies.
pub(super) fn is_one(directory: &Path) -> bool {
    directory.join("about.txt").is_file()
}

/// Makes the files of the last point that is not after `at`, with the directories they are in. Says which point that is.
pub(super) fn unpack(
    directory: &Path,
    at: Option<Timestamp>,
    part: &Path,
) -> Result<(Timestamp, Vec<String>), BackupError> {
    let about = directory.join("about.txt");
    let alone = File::open(&about).map_err(BackupError::io(&about))?;
    alone.lock().map_err(BackupError::io(&about))?;
    let all = points(directory)?;
    let chosen = all.iter().rev().find(|point| at.is_none_or(|at| **point <= at)).copied();
    let Some(chosen) = chosen else {
        let oldest = all.first().map(|oldest| format!(": the oldest is {oldest:.3}")).unwrap_or_default();
        return Err(BackupError::unfit(directory, format!("there is no copy of that time{oldest}")));
    };
    make_directory(part)?;
    let Point { files } = read(directory, chosen)?;
    for (name, content) in &files {
        if !is_expected(name) {
            return Err(BackupError::unfit(directory, format!("{name} does not belong into a backup")));
        }
        let target = part.join(name);
        target.parent().map_or(Ok(()), make_directory)?;
        join(directory, content, &target)?;
    }
    Ok((chosen, files.into_keys().collect()))
}

fn join(directory: &Path, content: &Content, target: &Path) -> Result<(), BackupError> {
    let mut out = private(target)?;
    let mut bytes = 0;
    for name in &content.chunks {
        let path = chunk(directory, name);
        let piece = fs::read(&path).map_err(BackupError::io(&path))?;
        if hexadecimal(Sha256::new_with_prefix(&piece)) != *name {
            return Err(BackupError::unfit(&path, "it is damaged"));
        }
        bytes += piece.len() as u64;
        out.write_all(&piece).map_err(BackupError::io(target))?;
    }
    if bytes != content.bytes {
        return Err(BackupError::unfit(directory, "its last point is damaged"));
    }
    out.sync_all().map_err(BackupError::io(target))
}

/// The times of the points, in order.
fn points(directory: &Path) -> Result<Vec<Timestamp>, BackupError> {
    let names = entries(&directory.join("points"))?;
    Ok(names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
}

fn file_of(directory: &Path, point: Timestamp) -> PathBuf {
    directory.join("points").join(format!("{point:.3}.json"))
}

fn read(directory: &Path, point: Timestamp) -> Result<Point, BackupError> {
    let path = file_of(directory, point);
    let text = fs::read(&path).map_err(BackupError::io(&path))?;
    serde_json::from_slice(&text).map_err(|_| BackupError::unfit(&path, "it is damaged"))
}

fn chunk(directory: &Path, name: &str) -> PathBuf {
    directory.join("chunks").join(name.get(..2).unwrap_or_default()).join(name)
}

fn sync(directory: &Path) -> Result<(), BackupError> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(BackupError::io(directory))
}

/// Points that need not be kept: of an hour all are, of a day the last of each hour, of a month the last of each day; and the last.
fn superseded(points: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
    const HOUR: i64 = 3_600;
    const DAY: i64 = 24 * HOUR;
    let mut slots = HashSet::new();
    let mut gone = Vec::new();
    for (position, point) in points.iter().rev().enumerate() {
        let (time, age) = (point.as_second(), now.as_second() - point.as_second());
        let kept = match age {
            ..HOUR => true,
            HOUR..DAY => slots.insert((HOUR, time / HOUR)),
            _ if age < 31 * DAY => slots.insert((DAY, time / DAY)),
            _ => false,
        };
        if !kept && position > 0 {
            gone.push(*point);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_points_are_thinned_out() {
        let now: Timestamp = "2026-11-21T12:30:00.000Z".parse().unwrap();
        let before = |minutes: i64| Timestamp::from_second(now.as_second() - minutes * 60).unwrap();
        assert_eq!(superseded(&[before(90 * 24 * 60)], now), [], "the last one stays");
        // Every minute of an hour and a half, and one of each eight hours of 40 days.
        let mut points: Vec<_> = (0..120).map(|number| before(40 * 24 * 60 - number * 480)).collect();
        points.extend((0..90).rev().map(before));
        let gone: HashSet<_> = superseded(&points, now).into_iter().collect();
        let kept: Vec<_> = points.iter().filter(|point| !gone.contains(point)).collect();
        assert!((0..60).all(|minutes| kept.contains(&&before(minutes))), "all of the last hour");
        let hour_before: Vec<_> = kept.iter().filter(|point| (before(90)..=before(60)).contains(**point)).collect();
        assert_eq!(hour_before, [&&before(60)], "one of the hour before");
        let of_days = kept.iter().filter(|point| ***point < before(24 * 60)).count();
        assert!((29..=31).contains(&of_days), "one a day for a month: {of_days}");
        assert_eq!(
            superseded(&kept.into_iter().copied().collect::<Vec<_>>(), now),
            [],
            "and nothing more the next time"
        );
    }
}
