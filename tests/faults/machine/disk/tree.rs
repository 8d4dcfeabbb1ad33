//! Files and folders in memory. A file has its bytes twice: as readers see them, and as a power cut would leave them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::time::UNIX_EPOCH;

use fuser::{FileAttr, FileType, INodeNo};

const ROOT: u64 = 1;
const BLOCK: u32 = 4_096;

#[derive(Default)]
struct Bytes {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Where they differ.
    unsynced: Vec<Range<usize>>,
}

enum Content {
    Folder(BTreeMap<OsString, u64>),
    File(Bytes),
}

struct Node {
    parent: u64,
    name: OsString,
    content: Content,
}

/// All of it.
pub(super) struct Tree {
    nodes: BTreeMap<u64, Node>,
    next: u64,
}

impl Default for Tree {
    fn default() -> Self {
        let root =
            Node { parent: ROOT, name: OsString::new(), content: Content::Folder(BTreeMap::new()) };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("64-bit")
}

impl Tree {
    fn file(&mut self, ino: u64) -> &mut Bytes {
        match &mut self.nodes.get_mut(&ino).expect("the kernel knows the file").content {
            Content::File(bytes) => bytes,
            Content::Folder(_) => panic!("{ino} is a folder"),
        }
    }

    fn folder(&mut self, ino: u64) -> &mut BTreeMap<OsString, u64> {
        match &mut self.nodes.get_mut(&ino).expect("the kernel knows the folder").content {
            Content::Folder(entries) => entries,
            Content::File(_) => panic!("{ino} is a file"),
        }
    }

    pub(super) fn exists(&self, ino: u64) -> bool {
        self.nodes.contains_key(&ino)
    }

    pub(super) fn find(&self, parent: u64, name: &OsStr) -> Option<u64> {
        match &self.nodes.get(&parent)?.content {
            Content::Folder(entries) => entries.get(name).copied(),
            Content::File(_) => None,
        }
    }

    pub(super) fn entries(&self, ino: u64) -> Vec<(OsString, u64)> {
        match self.nodes.get(&ino).map(|node| &node.content) {
            Some(Content::Folder(entries)) => {
                entries.iter().map(|(name, child)| (name.clone(), *child)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Below the root, with a slash before each name.
    pub(super) fn path(&self, mut ino: u64) -> String {
        let mut names = Vec::new();
        while let Some(node) = self.nodes.get(&ino).filter(|_| ino != ROOT) {
            names.push(node.name.to_string_lossy().into_owned());
            ino = node.parent;
        }
        names.iter().rev().map(|name| format!("/{name}")).collect()
    }

    pub(super) fn about(&self, ino: u64) -> FileAttr {
        let (kind, size) = match self.nodes.get(&ino).map(|node| &node.content) {
            Some(Content::File(bytes)) => (FileType::RegularFile, bytes.live.len()),
            _ => (FileType::Directory, 0),
        };
        let size = u64::try_from(size).expect("64-bit");
        FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: 0o755,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK,
            flags: 0,
        }
    }

    pub(super) fn add(&mut self, parent: u64, name: &OsStr, kind: FileType) -> u64 {
        let ino = self.next;
        self.next += 1;
        let content = match kind {
            FileType::Directory => Content::Folder(BTreeMap::new()),
            _ => Content::File(Bytes::default()),
        };
        self.nodes.insert(ino, Node { parent, name: name.to_owned(), content });
        self.folder(parent).insert(name.to_owned(), ino);
        ino
    }

    /// Takes the name away. The file stays for whoever has it open.
    pub(super) fn remove(&mut self, parent: u64, name: &OsStr) -> Option<u64> {
        self.folder(parent).remove(name)
    }

    pub(super) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> bool {
        let Some(ino) = self.remove(from.0, from.1) else { return false };
        self.folder(to.0).insert(to.1.to_owned(), ino);
        let node = self.nodes.get_mut(&ino).expect("it was there");
        node.parent = to.0;
        node.name = to.1.to_owned();
        true
    }

    pub(super) fn read(&mut self, ino: u64, offset: u64, size: u32) -> &[u8] {
        let live = &self.file(ino).live;
        let from = at(offset).min(live.len());
        let to = (from + usize::try_from(size).expect("64-bit")).min(live.len());
        &live[from..to]
    }

    pub(super) fn write(&mut self, ino: u64, offset: u64, data: &[u8]) {
        let file = self.file(ino);
        let range = at(offset)..at(offset) + data.len();
        if file.live.len() < range.end {
            file.live.resize(range.end, 0);
        }
        file.live[range.clone()].copy_from_slice(data);
        file.unsynced.push(range);
    }

    /// A length is durable with the next sync, as in a journalled file system at the latest.
    pub(super) fn resize(&mut self, ino: u64, size: u64) {
        let file = self.file(ino);
        let (before, size) = (file.live.len(), at(size));
        file.live.resize(size, 0);
        if size > before {
            file.unsynced.push(before..size);
        }
    }

    pub(super) fn sync(&mut self, ino: u64) {
        let Bytes { live, durable, unsynced } = self.file(ino);
        durable.resize(live.len(), 0);
        for range in unsynced.drain(..) {
            let range = range.start.min(live.len())..range.end.min(live.len());
            durable[range.clone()].copy_from_slice(&live[range]);
        }
    }

    pub(super) fn forget_unsynced(&mut self, ino: u64) {
        let Bytes { live, durable, unsynced } = self.file(ino);
        let len = live.len();
        live.truncate(durable.len());
        for range in unsynced.drain(..) {
            let range = range.start.min(live.len())..range.end.min(live.len());
            live[range.clone()].copy_from_slice(&durable[range]);
        }
        // The length was metadata and stays.
        live.resize(len, 0);
    }

    pub(super) fn cut_power(&mut self) {
        for node in self.nodes.values_mut() {
            if let Content::File(bytes) = &mut node.content {
                bytes.live.clone_from(&bytes.durable);
                bytes.unsynced.clear();
            }
        }
    }
}
