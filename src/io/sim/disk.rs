//! A disk in memory: directories, files, and what of them is durable.
//!
//! Names follow the same rule as bytes: a creation, rename or removal is visible at once and
//! durable after a sync of its directory; a power cut keeps, for names that hang together, some
//! prefix of what is pending. A rename is one change: never half of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Component, Path};

use super::chance::Chance;
use super::content::{Content, Mood, Sectors, Sequence};
use crate::buf::PAGE_BYTES;
use crate::door::{DirEntry, Space};

/// A disk that outlives the simulations that run on it.
///
/// Made by [`Sim::crash`](super::Sim::crash) or [`Sim::kill`](super::Sim::kill). Cloning copies
/// it, so that many futures of one state can be tried.
#[derive(Clone, Debug)]
pub struct SimDisk {
    nodes: BTreeMap<NodeId, Node>,
    pending: Vec<Change>,
    sequence: Sequence,
    next_node: u64,
    capacity_bytes: u64,
    sectors: Sectors,
    /// The wall clock goes on between runs.
    pub(super) wall_ns: u64,
}

/// An inode's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(u64);

const ROOT: NodeId = NodeId(0);
/// 2026-01-01 00:00:00 UTC in nanoseconds.
const WALL_START_NS: u64 = 1_767_225_600_000_000_000;
/// Capacity unless a test sets one: 1 TiB.
const CAPACITY_BYTES: u64 = 1 << 40;

#[derive(Clone, Debug)]
enum Node {
    Dir(Dir),
    File(File),
}

#[derive(Clone, Debug, Default)]
struct Dir {
    visible: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
}

#[derive(Clone, Debug, Default)]
struct File {
    content: Content,
    names: u32,
    handles: u32,
}

/// One atomic change of names.
#[derive(Clone, Debug)]
struct Change {
    sequence: Sequence,
    edits: Vec<Edit>,
}

/// A name's new meaning; `None` removes it.
#[derive(Clone, Debug)]
struct Edit {
    dir: NodeId,
    name: String,
    node: Option<NodeId>,
}

/// Names, each in its directory.
type Names = BTreeSet<(NodeId, String)>;

/// An error number, as the kernel gives it.
pub(super) type Errno = i32;

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// Returns an empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]),
            pending: Vec::new(),
            sequence: 0,
            next_node: 1,
            capacity_bytes: CAPACITY_BYTES,
            sectors: Sectors::Whole,
            wall_ns: WALL_START_NS,
        }
    }

    /// Sets the disk's size in bytes. What is there already stays, even if it is more.
    pub fn set_capacity(&mut self, bytes: u64) {
        self.capacity_bytes = bytes;
    }

    /// From now on a power cut may leave noise in sectors that were being written: pages are torn, and what is torn may be
    /// neither of both.
    pub fn shear(&mut self) {
        self.sectors = Sectors::Shorn;
    }

    /// Returns the paths of all files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        self.walk(ROOT, "", &mut files);
        files
    }

    /// Returns a file's bytes as a read sees them, `None` when it does not exist.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        let content = self.content(self.find(Path::new(path)).ok()?).ok()?;
        Some(content.read(0, usize::try_from(content.len()).ok()?))
    }

    /// Returns a file's length, `None` when it does not exist.
    #[must_use]
    pub fn file_bytes(&self, path: &str) -> Option<u64> {
        let node = self.find(Path::new(path)).ok()?;
        Some(self.content(node).ok()?.len())
    }

    /// Returns the bytes that its files use.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.nodes.values().map(Node::used_bytes).sum()
    }

    /// Flips the bits of `mask` in one durable byte: rot that no write explains. Answers whether
    /// the file exists and is longer than `position`.
    pub fn rot(&mut self, path: &str, position: u64, mask: u8) -> bool {
        let node = self.find(Path::new(path));
        let Some(content) = node.ok().and_then(|node| self.content_mut(node).ok()) else {
            return false;
        };
        let inside = position < content.len();
        if inside {
            content.rot(position, mask);
        }
        inside
    }

    /// Returns what a power cut now could leave: of all that is not synced, a random subset.
    #[must_use]
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let mut left = self.clone();
        left.power_cut(&mut Chance::new(seed));
        left
    }

    pub(super) fn power_cut(&mut self, chance: &mut Chance) {
        let mood = Mood::draw(chance);
        self.keep_some_changes(mood, chance);
        for node in self.nodes.values_mut() {
            match node {
                Node::Dir(dir) => dir.visible = dir.durable.clone(),
                Node::File(file) => {
                    let mood = if chance.percent(50) { mood } else { Mood::draw(chance) };
                    file.content.crash(mood, self.sectors, chance);
                }
            }
        }
        self.forget_unreachable();
    }

    /// Ends the process that had files open: handles are gone, completed changes stay.
    pub(super) fn close_all(&mut self) {
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.handles = 0;
            }
        }
    }

    pub(super) const fn next_sequence(&mut self) -> Sequence {
        self.sequence += 1;
        self.sequence
    }

    /// Returns the number of the last change that is complete.
    pub(super) const fn sequence(&self) -> Sequence {
        self.sequence
    }

    pub(super) fn open(&mut self, path: &Path, create: Create) -> Result<NodeId, Errno> {
        let (dir, name) = self.parent(path)?;
        let found = self.dir(dir)?.visible.get(&name).copied();
        let node = match (found, create) {
            (Some(_), Create::New) => return Err(libc::EEXIST),
            (None, Create::No) => return Err(libc::ENOENT),
            (Some(node), _) => node,
            (None, _) => {
                let node = self.add(Node::File(File::default()));
                self.change(vec![Edit { dir, name, node: Some(node) }]);
                node
            }
        };
        self.file_mut(node)?.handles += 1;
        Ok(node)
    }

    pub(super) fn close(&mut self, node: NodeId) {
        if let Ok(file) = self.file_mut(node) {
            file.handles = file.handles.saturating_sub(1);
        }
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> Result<(), Errno> {
        let (dir, name) = match self.parent(path) {
            // The root itself.
            Err(libc::EISDIR) => return Err(libc::EEXIST),
            parent => parent?,
        };
        if self.dir(dir)?.visible.contains_key(&name) {
            return Err(libc::EEXIST);
        }
        let node = self.add(Node::Dir(Dir::default()));
        self.change(vec![Edit { dir, name, node: Some(node) }]);
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> Result<Vec<DirEntry>, Errno> {
        let dir = self.dir(self.find(path)?)?;
        let entry = |(name, node): (&String, &NodeId)| {
            let (is_dir, bytes) = match self.nodes.get(node) {
                Some(Node::File(file)) => (false, file.content.len()),
                _ => (true, 0),
            };
            DirEntry { name: name.clone(), is_dir, bytes }
        };
        Ok(dir.visible.iter().map(entry).collect())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let (from_dir, from_name) = self.parent(from)?;
        let (dir, name) = self.parent(to)?;
        let node = *self.dir(from_dir)?.visible.get(&from_name).ok_or(libc::ENOENT)?;
        if let Some(Node::Dir(_)) =
            self.dir(dir)?.visible.get(&name).and_then(|n| self.nodes.get(n))
        {
            return Err(libc::EISDIR);
        }
        self.change(vec![
            Edit { dir: from_dir, name: from_name, node: None },
            Edit { dir, name, node: Some(node) },
        ]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> Result<(), Errno> {
        let node = self.find(path)?;
        self.file_mut(node).map_err(|_| libc::EISDIR)?;
        self.remove_name(path)
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> Result<(), Errno> {
        if !self.dir(self.find(path)?)?.visible.is_empty() {
            return Err(libc::ENOTEMPTY);
        }
        self.remove_name(path)
    }

    /// Makes durable the changes of names in a directory up to `until`, and those that they
    /// hang together with.
    pub(super) fn sync_dir(&mut self, path: &Path, until: Sequence) -> Result<(), Errno> {
        let target = self.find(path)?;
        self.dir(target)?;
        let mut names = Names::new();
        let (mut covered, mut later) = (Vec::new(), Vec::new());
        // Backwards, so that what a covered change builds on is covered as well.
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            let touches =
                |edit: &Edit| edit.dir == target || names.contains(&(edit.dir, edit.name.clone()));
            if change.sequence <= until && change.edits.iter().any(touches) {
                names.extend(change.edits.iter().map(|edit| (edit.dir, edit.name.clone())));
                covered.push(change);
            } else {
                later.push(change);
            }
        }
        later.reverse();
        self.pending = later;
        for change in covered.into_iter().rev() {
            self.make_durable(change);
        }
        Ok(())
    }

    pub(super) fn space(&self) -> Space {
        Space {
            free_bytes: self.capacity_bytes.saturating_sub(self.used_bytes()),
            total_bytes: self.capacity_bytes,
        }
    }

    /// Checks that a file can grow to `bytes`: everything up to its length counts as used.
    pub(super) fn check_room(&self, node: NodeId, bytes: u64) -> Result<(), Errno> {
        let held = page_ceil(self.content(node)?.len());
        let more = page_ceil(bytes).saturating_sub(held);
        if more > self.space().free_bytes { Err(libc::ENOSPC) } else { Ok(()) }
    }

    pub(super) fn content(&self, node: NodeId) -> Result<&Content, Errno> {
        match self.nodes.get(&node) {
            Some(Node::File(file)) => Ok(&file.content),
            _ => Err(libc::EBADF),
        }
    }

    pub(super) fn content_mut(&mut self, node: NodeId) -> Result<&mut Content, Errno> {
        self.file_mut(node).map(|file| &mut file.content)
    }

    pub(super) fn find(&self, path: &Path) -> Result<NodeId, Errno> {
        let mut node = ROOT;
        for name in names_of(path) {
            node = *self.dir(node)?.visible.get(name?).ok_or(libc::ENOENT)?;
        }
        Ok(node)
    }

    fn parent(&self, path: &Path) -> Result<(NodeId, String), Errno> {
        let mut names = names_of(path).collect::<Result<Vec<_>, _>>()?;
        let name = names.pop().ok_or(libc::EISDIR)?.to_owned();
        let mut node = ROOT;
        for name in names {
            node = *self.dir(node)?.visible.get(name).ok_or(libc::ENOENT)?;
        }
        self.dir(node)?;
        Ok((node, name))
    }

    fn dir(&self, node: NodeId) -> Result<&Dir, Errno> {
        match self.nodes.get(&node) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(libc::ENOTDIR),
        }
    }

    fn file_mut(&mut self, node: NodeId) -> Result<&mut File, Errno> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(libc::EISDIR),
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.next_node);
        self.next_node += 1;
        self.nodes.insert(id, node);
        id
    }

    fn remove_name(&mut self, path: &Path) -> Result<(), Errno> {
        let (dir, name) = self.parent(path)?;
        self.change(vec![Edit { dir, name, node: None }]);
        Ok(())
    }

    /// Makes a change visible and remembers it as pending.
    fn change(&mut self, edits: Vec<Edit>) {
        for edit in &edits {
            let Some(Node::Dir(dir)) = self.nodes.get_mut(&edit.dir) else { continue };
            let before = match edit.node {
                Some(node) => dir.visible.insert(edit.name.clone(), node),
                None => dir.visible.remove(&edit.name),
            };
            self.count_name(before, |names| names.saturating_sub(1));
            self.count_name(edit.node, |names| names + 1);
        }
        let sequence = self.next_sequence();
        self.pending.push(Change { sequence, edits });
    }

    fn count_name(&mut self, node: Option<NodeId>, count: impl Fn(u32) -> u32) {
        if let Some(Node::File(file)) = node.and_then(|node| self.nodes.get_mut(&node)) {
            file.names = count(file.names);
        }
    }

    fn make_durable(&mut self, change: Change) {
        for edit in change.edits {
            let Some(Node::Dir(dir)) = self.nodes.get_mut(&edit.dir) else { continue };
            match edit.node {
                Some(node) => dir.durable.insert(edit.name, node),
                None => dir.durable.remove(&edit.name),
            };
        }
    }

    /// Splits what is pending into sets of changes that share names, and keeps a prefix of each.
    fn keep_some_changes(&mut self, mood: Mood, chance: &mut Chance) {
        let mut sets: Vec<(Names, Vec<Change>)> = Vec::new();
        for change in std::mem::take(&mut self.pending) {
            let mut names: Names =
                change.edits.iter().map(|edit| (edit.dir, edit.name.clone())).collect();
            let mut changes = Vec::new();
            for (other_names, other) in std::mem::take(&mut sets) {
                if other_names.is_disjoint(&names) {
                    sets.push((other_names, other));
                } else {
                    names.extend(other_names);
                    changes.extend(other);
                }
            }
            changes.push(change);
            changes.sort_by_key(|change| change.sequence);
            sets.push((names, changes));
        }
        for (_, changes) in sets {
            let kept = mood.prefix(changes.len(), chance);
            changes.into_iter().take(kept).for_each(|change| self.make_durable(change));
        }
    }

    fn forget_unreachable(&mut self) {
        let mut names: BTreeMap<NodeId, u32> = BTreeMap::from([(ROOT, 1)]);
        let mut next = vec![ROOT];
        while let Some(node) = next.pop() {
            let Ok(dir) = self.dir(node) else { continue };
            for child in dir.visible.values() {
                *names.entry(*child).or_default() += 1;
                next.push(*child);
            }
        }
        self.nodes.retain(|id, node| {
            let count = names.get(id).copied().unwrap_or(0);
            if let Node::File(file) = node {
                (file.names, file.handles) = (count, 0);
            }
            count > 0
        });
    }

    fn walk(&self, node: NodeId, path: &str, files: &mut Vec<String>) {
        let Ok(dir) = self.dir(node) else { return };
        for (name, child) in &dir.visible {
            let path = format!("{path}/{name}");
            if self.dir(*child).is_ok() {
                self.walk(*child, &path, files);
            } else {
                files.push(path);
            }
        }
    }
}

impl Node {
    fn used_bytes(&self) -> u64 {
        match self {
            Self::File(file) if file.names > 0 || file.handles > 0 => page_ceil(file.content.len()),
            _ => 0,
        }
    }
}

/// Whether an open creates the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Create {
    No,
    New,
    IfAbsent,
}

const fn page_ceil(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE_BYTES as u64)
}

/// Returns a path's names from the root; `/a/b` and `a/b` are the same file.
fn names_of(path: &Path) -> impl Iterator<Item = Result<&str, Errno>> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(OsStr::to_str(name).ok_or(libc::EINVAL)),
        Component::RootDir | Component::CurDir => None,
        Component::ParentDir | Component::Prefix(_) => Some(Err(libc::EINVAL)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_with_synced_file(name: &str) -> SimDisk {
        let mut disk = SimDisk::new();
        disk.open(Path::new(name), Create::New).unwrap();
        disk.sync_dir(Path::new("/"), disk.sequence()).unwrap();
        disk
    }

    #[test]
    fn a_created_file_is_lost_unless_its_directory_was_synced() {
        let mut disk = SimDisk::new();
        disk.open(Path::new("/f"), Create::New).unwrap();
        let kept: Vec<bool> =
            (0..50).map(|seed| disk.after_power_cut(seed).find(Path::new("/f")).is_ok()).collect();
        assert!(kept.contains(&true) && kept.contains(&false));
        disk.sync_dir(Path::new("/"), disk.sequence()).unwrap();
        assert!((0..50).all(|seed| disk.after_power_cut(seed).files() == ["/f"]));
    }

    #[test]
    fn a_file_in_a_directory_that_is_not_durable_is_lost_with_it() {
        let mut disk = SimDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        disk.open(Path::new("/d/f"), Create::New).unwrap();
        disk.sync_dir(Path::new("/d"), disk.sequence()).unwrap();
        let left: BTreeSet<usize> =
            (0..50).map(|seed| disk.after_power_cut(seed).files().len()).collect();
        assert_eq!(left, BTreeSet::from([0, 1]));
    }

    #[test]
    fn a_rename_is_never_half_done() {
        let mut disk = disk_with_synced_file("/current");
        let node = disk.open(Path::new("/next"), Create::New).unwrap();
        disk.rename(Path::new("/next"), Path::new("/current")).unwrap();
        for seed in 0..100 {
            let left = disk.after_power_cut(seed);
            let current = left.find(Path::new("/current")).unwrap();
            let next = left.find(Path::new("/next"));
            assert!(current != node || next.is_err(), "seed {seed}");
        }
        disk.sync_dir(Path::new("/"), disk.sequence()).unwrap();
        assert!((0..50).all(|seed| disk.after_power_cut(seed).files() == ["/current"]));
    }

    #[test]
    fn a_removed_file_may_come_back_until_its_directory_was_synced() {
        let mut disk = disk_with_synced_file("/f");
        disk.remove_file(Path::new("/f")).unwrap();
        assert_eq!(disk.find(Path::new("/f")), Err(libc::ENOENT));
        assert!((0..50).any(|seed| disk.after_power_cut(seed).files() == ["/f"]));
        disk.sync_dir(Path::new("/"), disk.sequence()).unwrap();
        assert!((0..50).all(|seed| disk.after_power_cut(seed).files().is_empty()));
    }

    #[test]
    fn wrong_paths_get_the_kernels_error_numbers() {
        let mut disk = disk_with_synced_file("/f");
        disk.create_dir(Path::new("/d")).unwrap();
        assert_eq!(disk.open(Path::new("/f"), Create::New), Err(libc::EEXIST));
        assert_eq!(disk.open(Path::new("/g"), Create::No), Err(libc::ENOENT));
        assert_eq!(disk.open(Path::new("/f/g"), Create::New), Err(libc::ENOTDIR));
        assert_eq!(disk.open(Path::new("/d"), Create::IfAbsent), Err(libc::EISDIR));
        assert_eq!(disk.create_dir(Path::new("/d")), Err(libc::EEXIST));
        assert_eq!(disk.create_dir(Path::new("/")), Err(libc::EEXIST));
        assert_eq!(disk.remove_file(Path::new("/d")), Err(libc::EISDIR));
        disk.open(Path::new("/d/f"), Create::New).unwrap();
        assert_eq!(disk.remove_dir(Path::new("/d")), Err(libc::ENOTEMPTY));
    }

    #[test]
    fn an_unlinked_file_gives_its_room_back_when_it_is_closed() {
        let mut disk = SimDisk::new();
        disk.set_capacity(16_384);
        let node = disk.open(Path::new("/f"), Create::New).unwrap();
        disk.content_mut(node).unwrap().set_len(1, 10_000);
        assert_eq!(disk.space().free_bytes, 4096);
        assert_eq!(disk.check_room(node, 16_384), Ok(()));
        assert_eq!(disk.check_room(node, 16_385), Err(libc::ENOSPC));
        disk.remove_file(Path::new("/f")).unwrap();
        assert_eq!(disk.space().free_bytes, 4096);
        disk.close(node);
        assert_eq!(disk.space().free_bytes, 16_384);
    }
}
