use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use fastrand::Rng;

/// What is written or forgotten as one. Disks of today have 4,096; half-written ones of 512 are the
/// worst that a disk may leave.
const SECTOR: usize = 512;

/// The most turns of other tasks that an fsync takes.
const SYNC_TURNS: u32 = 4;

/// What is on a disk, and what its users see in its place.
pub(super) struct Tree {
    chance: Rng,
    /// The first is the root.
    folders: Vec<Folder>,
    files: Vec<Content>,
    /// Those that are alive, of all there have been.
    users: BTreeSet<u64>,
    last_user: u64,
    dead: bool,
    /// After so many more system calls the power goes, or the process.
    pub(super) calls_left: Option<u64>,
    /// And by whom.
    pub(super) locked: BTreeMap<PathBuf, u64>,
    pub(super) room: Option<u64>,
    pub(super) fail_syncs: bool,
    pub(super) fail_truncates: bool,
    pub(super) fail_reads: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder(usize),
    File(usize),
}

type Names = BTreeMap<OsString, Node>;

#[derive(Default)]
struct Folder {
    seen: Names,
    on_disk: Names,
    /// What has changed since `on_disk`: a name and what it stands for.
    journal: Vec<(OsString, Option<Node>)>,
}

#[derive(Default)]
struct Content {
    seen: Vec<u8>,
    /// So many of the bytes survive.
    synced: usize,
    /// What an fsync has failed to write, and no later one tries to.
    failed: Vec<Range<usize>>,
    /// As it was before it was cut, until that is synced.
    uncut: Option<Vec<u8>>,
}

impl Tree {
    pub(super) fn new(seed: u64) -> Self {
        Tree {
            chance: Rng::with_seed(seed),
            folders: vec![Folder::default()],
            files: Vec::new(),
            users: BTreeSet::from([0]),
            last_user: 0,
            dead: false,
            calls_left: None,
            locked: BTreeMap::new(),
            room: None,
            fail_syncs: false,
            fail_truncates: false,
            fail_reads: false,
        }
    }

    /// Somebody else uses the disk from now on, and it works.
    pub(super) fn next_user(&mut self) -> u64 {
        self.locked.clear();
        (self.dead, self.calls_left, self.room) = (false, None, None);
        (self.fail_syncs, self.fail_truncates, self.fail_reads) = (false, false, false);
        self.users.clear();
        self.one_more_user()
    }

    /// Somebody uses the disk beside those who do.
    pub(super) fn one_more_user(&mut self) -> u64 {
        self.last_user += 1;
        self.users.insert(self.last_user);
        self.last_user
    }

    /// One of them is gone, and its locks are given back.
    pub(super) fn end_user(&mut self, user: u64) {
        self.users.remove(&user);
        self.locked.retain(|_, owner| *owner != user);
    }

    pub(super) fn is_used_by(&self, user: u64) -> bool {
        self.users.contains(&user)
    }

    pub(super) fn is_dead(&self, user: u64) -> bool {
        self.dead || !self.is_used_by(user)
    }

    fn alive(&self, user: u64) -> io::Result<()> {
        if self.is_dead(user) { Err(io::Error::other("the process is dead")) } else { Ok(()) }
    }

    /// One more system call that changes something.
    fn call(&mut self, user: u64) -> io::Result<()> {
        self.alive(user)?;
        match &mut self.calls_left {
            Some(0) => self.dead = true,
            Some(left) => *left -= 1,
            None => {}
        }
        self.alive(user)
    }

    pub(super) fn used(&self) -> u64 {
        let named = self.folders.iter().flat_map(|folder| folder.seen.values());
        let bytes = named.filter_map(|node| match node {
            Node::File(file) => Some(self.files[*file].seen.len() as u64),
            Node::Folder(_) => None,
        });
        bytes.sum()
    }

    fn find(&self, path: &Path) -> Option<Node> {
        let mut names = path.components().filter(|part| matches!(part, Component::Normal(_)));
        names.try_fold(Node::Folder(0), |node, name| match node {
            Node::Folder(folder) => self.folders[folder].seen.get(name.as_os_str()).copied(),
            Node::File(_) => None,
        })
    }

    fn folder(&self, path: &Path) -> io::Result<usize> {
        match self.find(path) {
            Some(Node::Folder(folder)) => Ok(folder),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.find(path) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn folder_of(&self, path: &Path) -> io::Result<usize> {
        self.folder(path.parent().unwrap_or(Path::new("")))
    }

    fn set_name(&mut self, path: &Path, node: Option<Node>) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let folder = self.folder_of(path)?;
        let folder = &mut self.folders[folder];
        match node {
            Some(node) => folder.seen.insert(name.clone(), node),
            None => folder.seen.remove(&name),
        };
        folder.journal.push((name, node));
        Ok(())
    }

    pub(super) fn create_dir(&mut self, user: u64, dir: &Path) -> io::Result<()> {
        let missing: Vec<&Path> =
            dir.ancestors().take_while(|dir| self.find(dir).is_none()).collect();
        let above = missing.last().and_then(|highest| highest.parent());
        if let Some(above) = above.filter(|above| !above.as_os_str().is_empty()) {
            self.sync_folder_of(user, above)?;
        }
        for dir in missing.into_iter().rev() {
            self.call(user)?;
            self.folders.push(Folder::default());
            self.set_name(dir, Some(Node::Folder(self.folders.len() - 1)))?;
            self.sync_folder_of(user, dir)?;
        }
        Ok(())
    }

    pub(super) fn list(&self, user: u64, dir: &Path) -> io::Result<Vec<String>> {
        self.alive(user)?;
        let Ok(folder) = self.folder(dir) else { return Ok(Vec::new()) };
        let names = self.folders[folder].seen.keys();
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    /// A file's content, made empty if there is no such file.
    pub(super) fn open(&mut self, user: u64, path: &Path) -> io::Result<usize> {
        if let Ok(file) = self.file(path) {
            return self.alive(user).map(|()| file);
        }
        self.call(user)?;
        self.files.push(Content::default());
        let file = self.files.len() - 1;
        self.set_name(path, Some(Node::File(file)))?;
        Ok(file)
    }

    pub(super) fn append(&mut self, user: u64, file: usize, bytes: &[u8]) -> io::Result<()> {
        let was_alive = !self.is_dead(user);
        if let Err(dead) = self.call(user) {
            let written = if was_alive { self.chance.usize(..=bytes.len()) } else { 0 };
            self.files[file].seen.extend_from_slice(&bytes[..written]);
            return Err(dead);
        }
        let room = self.room.map_or(u64::MAX, |room| room.saturating_sub(self.used()));
        let fits = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.files[file].seen.extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    pub(super) fn read_at(
        &self,
        user: u64,
        path: &Path,
        offset: u64,
        len: usize,
    ) -> io::Result<Vec<u8>> {
        self.alive(user)?;
        let content = &self.files[self.file(path)?].seen;
        if self.fail_reads {
            return Err(io::Error::other("an input/output error"));
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        Ok(content[start..content.len().min(start.saturating_add(len))].to_vec())
    }

    pub(super) fn truncate(&mut self, user: u64, path: &Path, len: u64) -> io::Result<()> {
        let file = self.file(path)?;
        self.call(user)?;
        if self.fail_truncates {
            return Err(io::Error::other("can't be cut"));
        }
        let content = &mut self.files[file];
        let before = content.seen.clone();
        content.seen.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        content.synced = content.synced.min(content.seen.len());
        content.uncut.get_or_insert(before);
        let through = self.files[file].seen.len();
        self.sync(user, file, through)
    }

    pub(super) fn replace(&mut self, user: u64, path: &Path, content: &[u8]) -> io::Result<()> {
        let draft = path.with_extension("new");
        self.call(user)?;
        self.files.push(Content::default()); // the old draft's is not written over
        let file = self.files.len() - 1;
        self.set_name(&draft, Some(Node::File(file)))?;
        self.append(user, file, content)?;
        self.sync(user, file, content.len())?;
        self.call(user)?;
        self.set_name(path, Some(Node::File(file)))?;
        self.set_name(&draft, None)?;
        self.sync_folder_of(user, path)
    }

    pub(super) fn remove(&mut self, user: u64, path: &Path) -> io::Result<()> {
        let Some(node) = self.find(path) else { return self.alive(user) };
        if let Node::Folder(folder) = node {
            let names: Vec<OsString> = self.folders[folder].seen.keys().cloned().collect();
            names.iter().try_for_each(|name| self.remove(user, &path.join(name)))?;
        }
        self.call(user)?;
        self.locked.remove(path);
        self.set_name(path, None)
    }

    /// What an fsync that begins now is about, and how many turns it takes.
    pub(super) fn begin_sync(&mut self, file: usize) -> (usize, u32) {
        (self.files[file].seen.len(), self.chance.u32(..=SYNC_TURNS))
    }

    pub(super) fn sync(&mut self, user: u64, file: usize, through: usize) -> io::Result<()> {
        self.call(user)?;
        let evicted = self.fail_syncs && self.chance.bool();
        let content = &mut self.files[file];
        if self.fail_syncs {
            let dirty = content.synced..content.seen.len();
            if evicted {
                content.seen[dirty.clone()].fill(0);
            }
            content.synced = dirty.end;
            content.failed.push(dirty);
            return Err(io::Error::other("an input/output error"));
        }
        content.synced = content.synced.max(through.min(content.seen.len()));
        content.uncut = None;
        Ok(())
    }

    pub(super) fn sync_folder_of(&mut self, user: u64, path: &Path) -> io::Result<()> {
        self.call(user)?;
        if self.fail_syncs {
            return Err(io::Error::other("an input/output error"));
        }
        let folder = self.folder_of(path)?;
        let folder = &mut self.folders[folder];
        let changed = std::mem::take(&mut folder.journal).into_iter();
        let mut unnamed: Vec<Node> = changed
            .filter_map(|(name, node)| node.or(folder.on_disk.get(&name).copied()))
            .collect();
        folder.on_disk.clone_from(&folder.seen);
        unnamed.retain(|node| !folder.seen.values().any(|seen| seen == node));
        for node in unnamed {
            if let Node::File(file) = node {
                self.files[file] = Content::default(); // nobody will find it again
            }
        }
        Ok(())
    }

    /// The power goes, and comes back: what was not synced is what chance makes of it.
    pub(super) fn forget(&mut self) {
        for folder in &mut self.folders {
            let kept = self.chance.usize(..=folder.journal.len());
            for (name, node) in folder.journal.drain(..).take(kept) {
                match node {
                    Some(node) => folder.on_disk.insert(name, node),
                    None => folder.on_disk.remove(&name),
                };
            }
            folder.seen.clone_from(&folder.on_disk);
        }
        self.files.iter_mut().for_each(|content| content.forget(&mut self.chance));
    }
}

impl Content {
    fn forget(&mut self, chance: &mut Rng) {
        if let Some(uncut) = self.uncut.take()
            && chance.bool()
        {
            self.seen = uncut;
        }
        for failed in std::mem::take(&mut self.failed) {
            let end = failed.end.min(self.seen.len());
            zero_sectors(&mut self.seen[..end], failed.start, chance);
        }
        let synced = self.synced.min(self.seen.len());
        match chance.u8(..4) {
            0 => self.seen.truncate(synced),
            1 => self.seen.truncate(chance.usize(synced..=self.seen.len())),
            // The file had grown before what was written to it came.
            2 => {
                self.seen.truncate(chance.usize(synced..=self.seen.len()));
                zero_sectors(&mut self.seen, synced, chance);
            }
            _ => {} // all of it came by itself
        }
        self.synced = self.seen.len();
    }
}

/// Loses some of the sectors from `start` on.
fn zero_sectors(bytes: &mut [u8], start: usize, chance: &mut Rng) {
    let mut at = start;
    while at < bytes.len() {
        let end = bytes.len().min((at / SECTOR + 1) * SECTOR);
        if chance.bool() {
            bytes[at..end].fill(0);
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::{SimDisk, Simulation};
    use super::*;
    use crate::host::Files;

    fn read(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
        let read = disk.read_at(Path::new(name), 0, usize::MAX).now_or_never();
        read.expect("at once").ok()
    }

    #[test]
    fn what_was_synced_is_kept_and_the_rest_may_be_anything_but_something_else() {
        let mut ends = BTreeSet::new();
        for seed in 0..500 {
            let disk = SimDisk::new(seed);
            let file = disk.append_to(Path::new("log")).unwrap();
            file.append(&[1; 700]).unwrap();
            let simulation = Simulation::new(seed);
            simulation.run(file.sync()).unwrap();
            file.append(&[2; 2_000]).unwrap();
            let found = read(&disk.lose_power(), "log").expect("its name was synced");
            assert_eq!(found[..700], [1; 700]);
            assert!(found[700..].iter().all(|byte| [0, 2].contains(byte)));
            ends.insert(found[700..].to_vec());
        }
        assert!(ends.contains(&vec![]) && ends.contains(&vec![2; 2_000]) && ends.len() > 50);
    }

    #[test]
    fn a_new_name_is_lost_unless_its_folder_was_synced() {
        let kept = (0..100).filter(|seed| {
            let disk = SimDisk::new(*seed);
            disk.append_to(Path::new("new")).unwrap();
            read(&disk.lose_power(), "new").is_some()
        });
        assert!((20..80).contains(&kept.count()));
    }

    #[test]
    fn what_replaces_a_file_is_the_old_or_the_new_wherever_the_power_goes() {
        for seed in 0..500 {
            let disk = SimDisk::new(seed);
            disk.replace(Path::new("owner"), b"old").unwrap();
            disk.die_after(seed % 6);
            let done = disk.replace(Path::new("owner"), b"newer").is_ok();
            let found = read(&disk.lose_power(), "owner").expect("one of them");
            assert!(found == b"newer" || found == b"old" && !done, "{seed}: {found:?} {done}");
        }
    }

    #[test]
    fn the_death_of_the_process_alone_forgets_nothing_and_gives_its_locks_back() {
        let disk = SimDisk::new(1);
        let file = disk.append_to(Path::new("log")).unwrap();
        file.append(b"unsynced").unwrap();
        let lock = disk.lock(Path::new("lock")).unwrap();
        assert!(lock.is_some() && disk.lock(Path::new("lock")).unwrap().is_none());
        let next = disk.kill();
        assert_eq!(read(&next, "log").unwrap(), b"unsynced");
        let taken = next.lock(Path::new("lock")).unwrap();
        drop(lock);
        assert!(taken.is_some() && next.lock(Path::new("lock")).unwrap().is_none());
        file.append(b"a ghost").unwrap_err();
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let disk = SimDisk::new(1);
        disk.set_room(Some(10));
        let file = disk.append_to(Path::new("log")).unwrap();
        file.append(b"seven b").unwrap();
        let error = file.append(b"seven b").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!((read(&disk, "log").unwrap().len(), disk.bytes()), (10, 10));
    }

    #[test]
    fn after_an_fsync_that_failed_a_good_one_brings_nothing_back() {
        let lost = (0..100).filter(|seed| {
            let disk = SimDisk::new(*seed);
            let simulation = Simulation::new(*seed);
            let file = disk.append_to(Path::new("log")).unwrap();
            simulation.run(file.sync()).unwrap();
            file.append(b"gone").unwrap();
            disk.fail_syncs(true);
            simulation.run(file.sync()).unwrap_err();
            disk.fail_syncs(false);
            simulation.run(file.sync()).unwrap();
            read(&disk.lose_power(), "log").unwrap() != b"gone"
        });
        assert!(lost.count() > 50);
    }
}
