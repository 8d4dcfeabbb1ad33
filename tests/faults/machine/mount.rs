//! File systems of a size of our own: ext4 on a loop device, and a tmpfs to hold its image.

use std::path::{Path, PathBuf};

use super::{Absent, need_root, run};

const UNMOUNT_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// A mounted file system; unmounted when dropped.
pub(crate) struct Mount {
    folder: PathBuf,
}

impl Mount {
    /// A tmpfs of so many bytes.
    pub(crate) fn tmpfs(folder: &Path, bytes: u64) -> Result<Self, Absent> {
        need_root()?;
        std::fs::create_dir_all(folder).expect("the test's folder is writable");
        let folder = folder.to_owned();
        let size = format!("size={bytes}");
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &folder.to_string_lossy()])?;
        Ok(Self { folder })
    }

    /// An ext4 of so many bytes in a sparse image.
    pub(crate) fn ext4(folder: &Path, image: &Path, bytes: u64) -> Result<Self, Absent> {
        need_root()?;
        std::fs::create_dir_all(folder).expect("the test's folder is writable");
        let file = std::fs::File::create(image).expect("the test's folder is writable");
        file.set_len(bytes).expect("a sparse file");
        let (folder, image) = (folder.to_owned(), image.to_string_lossy());
        // Nothing is kept back for root, and the image stays as sparse as it can.
        run("mkfs.ext4", &["-q", "-m", "0", "-E", "nodiscard,lazy_itable_init=1", &image])?;
        run("mount", &["-o", "loop,nodiscard", &image, &folder.to_string_lossy()])?;
        Ok(Self { folder })
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The device's numbers, as control groups name it.
    pub(crate) fn device(&self) -> Result<String, Absent> {
        let folder = self.folder.to_string_lossy();
        run("findmnt", &["-n", "-o", "MAJ:MIN", "--target", &folder])
    }

    /// Mounts the image once more, as after a failure that made the file system read-only.
    pub(crate) fn again(&self, image: &Path) -> Result<(), Absent> {
        let folder = self.folder.to_string_lossy();
        let begun = std::time::Instant::now();
        // A process that was killed may still be on its way out.
        while let Err(why) = run("umount", &[&folder]) {
            if begun.elapsed() > UNMOUNT_WAIT {
                return Err(why);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        run("mount", &["-o", "loop,nodiscard", &image.to_string_lossy(), &folder]).map(drop)
    }

    /// Gives a tmpfs another size.
    pub(crate) fn resize(&self, bytes: u64) -> Result<(), Absent> {
        let options = format!("remount,size={bytes}");
        run("mount", &["-o", &options, &self.folder.to_string_lossy()]).map(|_| ())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: after a failure something may still hold a file of it.
        if let Err(Absent(why)) = run("umount", &["-l", &self.folder.to_string_lossy()]) {
            eprintln!("{why}");
        }
    }
}
