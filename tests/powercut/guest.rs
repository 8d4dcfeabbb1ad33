//! The guest machine: Debian's kernel, an initial file system with the broker and nothing else, and a disk served by nbdkit.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
const KOLK: &str = env!("CARGO_BIN_EXE_kolk");
const DISK_BYTES: u64 = 512 << 20;
/// Where an unpacked kernel package is, if not below `/`.
const KERNEL_VARIABLE: &str = "KOLK_GUEST_KERNEL";
/// Drivers, roughly in the order in which they need each other; what the kernel has built in is no file. The guest goes through
/// them twice, since `virtio` and `virtio_ring` need each other one way or the other, by version.
const MODULES: [&str; 10] = [
    "virtio.ko",
    "virtio_ring.ko",
    "virtio_pci_legacy_dev.ko",
    "virtio_pci_modern_dev.ko",
    "virtio_pci.ko",
    "virtio_blk.ko",
    "failover.ko",
    "net_failover.ko",
    "virtio_net.ko",
    "af_packet.ko",
];
/// A boot in emulation on a busy machine.
const BOOT_MAX: Duration = Duration::from_secs(180);
/// What the guest does first and only.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /data /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for pass in 1 2; do
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod /modules/$module 2>/dev/null; done
done
/bin/busybox ip link set lo up
/bin/busybox ip addr add 10.0.2.15/24 dev eth0
/bin/busybox ip link set eth0 up
/bin/busybox mount -t ext4 /dev/vda /data || echo GUEST no disk
ulimit -l unlimited
/kolk serve --data /data/kolk --listen 0.0.0.0 --shards 2 --http-port 9644 \
--set journal_file_bytes=1048576 --set journal_files=3 --set journal_group_bytes_max=524288
echo GUEST the broker ended
/bin/busybox poweroff -f
";

/// What becomes of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushes {
    Kept,
    Ignored,
}

/// Everything that outlives a power cut: the disk, and what the guest is started with.
pub(crate) struct Workshop {
    folder: tempfile::TempDir,
    kernel: PathBuf,
    flushes: Flushes,
    port: u16,
}

/// A running guest and its disk server.
pub(crate) struct Guest {
    machine: Child,
    disk: Child,
    console: PathBuf,
}

impl Workshop {
    /// Makes an empty disk and the initial file system; says what this machine lacks for it.
    pub(crate) fn open(name: &str, flushes: Flushes) -> Result<Self, String> {
        for program in ["qemu-system-x86_64", "nbdkit", "busybox", "mkfs.ext4", "cpio", "ldd"] {
            let there = Command::new("which").arg(program).stdout(Stdio::null()).status();
            if !there.is_ok_and(|status| status.success()) {
                return Err(format!("no {program} here"));
            }
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let root = kernel_root(target)?;
        let kernel = newest(&root.join("boot"), "vmlinuz-").ok_or("no kernel below boot/")?;
        let prefix = format!("powercut-{name}-");
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(target);
        let folder = folder.map_err(|error| error.to_string())?;
        let image = folder.path().join("disk");
        File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).expect("a sparse file");
        run(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        initial_files(folder.path(), &root, &kernel)?;
        // Free a moment ago; nobody else on this machine is asked to leave it.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("a socket").port();
        Ok(Self { folder, kernel, flushes, port })
    }

    /// The Kafka node door, as seen from here.
    pub(crate) fn door(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Starts the guest and waits until its broker is ready.
    pub(crate) fn start(&self) -> Guest {
        self.try_start().unwrap_or_else(|| {
            let console = std::fs::read_to_string(self.folder.path().join("console"));
            panic!("the guest did not come up:\n{}", console.unwrap_or_default())
        })
    }

    /// The same where it may not come up.
    pub(crate) fn try_start(&self) -> Option<Guest> {
        let socket = self.folder.path().join("nbd");
        drop(std::fs::remove_file(&socket));
        let cache = if self.flushes == Flushes::Kept { "writeback" } else { "unsafe" };
        let disk = Command::new("nbdkit")
            .args(["--foreground", "--exit-with-parent", "--filter=cache", "-U"])
            .arg(&socket)
            .arg("file")
            .arg(self.folder.path().join("disk"))
            .arg(format!("cache={cache}"))
            .spawn()
            .expect("nbdkit is here");
        let console = self.folder.path().join("console");
        let begun = Instant::now();
        while !socket.exists() {
            assert!(begun.elapsed() < BOOT_MAX, "nbdkit does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        let machine = Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "512"])
            .args(["-nographic", "-no-reboot", "-monitor", "none"])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(self.folder.path().join("initrd"))
            .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"])
            .arg("-drive")
            .arg(format!("file=nbd:unix:{},if=virtio,format=raw,cache=none", socket.display()))
            .arg("-netdev")
            .arg(format!("user,id=n,restrict=off,hostfwd=tcp:127.0.0.1:{}-:9092", self.port))
            .args(["-device", "virtio-net-pci,netdev=n,romfile="])
            .stdin(Stdio::null())
            .stdout(File::create(&console).expect("the test's own folder"))
            .stderr(Stdio::inherit())
            .spawn()
            .expect("qemu is here");
        let mut guest = Guest { machine, disk, console };
        let begun = Instant::now();
        loop {
            let said = guest.said();
            if said.contains("broker ready") && self.answers() {
                return Some(guest);
            }
            let ended = guest.machine.try_wait().expect("our own child").is_some();
            if ended || said.contains("GUEST") || begun.elapsed() > BOOT_MAX {
                eprintln!("{said}");
                guest.cut_power();
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        TcpStream::connect_timeout(&self.door(), Duration::from_secs(1)).is_ok()
    }
}

impl Guest {
    /// The console so far.
    pub(crate) fn said(&self) -> String {
        let bytes = std::fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends machine and disk server at once: what the disk was not told to flush is gone.
    pub(crate) fn cut_power(self) {
        drop(self);
    }
}

/// Also where a test fails.
impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.disk.kill());
        drop(self.machine.kill());
        drop(self.disk.wait());
        drop(self.machine.wait());
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}

/// The folder that has `boot/` and `lib/modules/`: that of the variable, an unpacked package below the target folder, which is
/// fetched once through apt, or the machine's own.
fn kernel_root(target: &Path) -> Result<PathBuf, String> {
    if let Some(root) = std::env::var_os(KERNEL_VARIABLE) {
        return Ok(root.into());
    }
    let unpacked = target.join("guest-kernel");
    if newest(&unpacked.join("boot"), "vmlinuz-").is_some() {
        return Ok(unpacked);
    }
    let fetched = fetch_kernel(&unpacked);
    if fetched.is_ok() {
        return Ok(unpacked);
    }
    match newest(Path::new("/boot"), "vmlinuz-") {
        Some(_) => Ok("/".into()),
        None => Err(format!("no kernel for a guest: {}", fetched.unwrap_err())),
    }
}

fn fetch_kernel(into: &Path) -> Result<(), String> {
    std::fs::create_dir_all(into).map_err(|error| error.to_string())?;
    let depends = Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]).output();
    let depends = depends.map_err(|error| format!("apt-cache: {error}"))?;
    let depends = String::from_utf8_lossy(&depends.stdout).into_owned();
    let name = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let name = name.ok_or("apt knows no linux-image-cloud-amd64")?;
    run(Command::new("apt-get").args(["download", name]).current_dir(into))?;
    let package = newest(into, "linux-image-").ok_or("apt-get has brought nothing")?;
    run(Command::new("dpkg").arg("-x").arg(&package).arg(into))
}

/// The last of the files in a folder whose names begin so.
fn newest(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let fits = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    fits.map(|entry| entry.path()).max()
}

/// `initrd`: the broker with its libraries, busybox, drivers, and what runs first.
fn initial_files(folder: &Path, root: &Path, kernel: &Path) -> Result<(), String> {
    let tree = folder.join("tree");
    let place = |from: &Path, to: &str| -> Result<(), String> {
        let to = tree.join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().expect("in the tree")).expect("the test's own folder");
        std::fs::copy(from, &to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
    };
    place(Path::new(KOLK), "kolk")?;
    place(Path::new("/bin/busybox"), "bin/busybox")?;
    let listed = Command::new("ldd").arg(KOLK).output().map_err(|error| error.to_string())?;
    for line in BufReader::new(&listed.stdout[..]).lines().map_while(Result::ok) {
        let library = line.split_whitespace().find(|word| word.starts_with('/'));
        if let Some(library) = library {
            place(Path::new(library), library)?;
        }
    }
    let version = kernel.file_name().expect("a file").to_string_lossy().into_owned();
    let version = version.trim_start_matches("vmlinuz-");
    let drivers = root.join("lib/modules").join(version).join("kernel");
    let mut order = String::new();
    for module in MODULES {
        let found = Command::new("find").arg(&drivers).args(["-name", module]).output();
        let found = found.map_err(|error| error.to_string())?;
        let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        if !path.is_empty() {
            place(Path::new(&path), &format!("modules/{module}"))?;
            order.push_str(&format!("{module}\n"));
        }
    }
    std::fs::create_dir_all(tree.join("modules")).expect("the test's own folder");
    std::fs::write(tree.join("modules/order"), order).expect("the test's own folder");
    let init = tree.join("init");
    std::fs::write(&init, INIT).expect("the test's own folder");
    run(Command::new("chmod").arg("0755").arg(&init))?;
    let initrd = folder.join("initrd");
    let pack = format!(
        "cd '{}' && find . | cpio -o -H newc --quiet > '{}'",
        tree.display(),
        initrd.display()
    );
    run(Command::new("sh").args(["-c", &pack]))
}
