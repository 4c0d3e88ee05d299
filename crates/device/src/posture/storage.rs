//! Whether dm-crypt stands below the root file system: on every way from it down to a disk.

use super::linux::{line, text};
use std::fs;
use std::path::Path;

/// Deepest stack of block devices that is followed: LVM on LUKS on RAID is four.
const DEPTH: usize = 8;

/// `None` where it cannot be told: overlays, network file systems, encryption by the file system.
pub(super) fn encrypted(root: &Path) -> Option<bool> {
    let number = root_device(root)?;
    every_way(root, &number, DEPTH)
}

/// `MAJOR:MINOR` of what is mounted at `/` (proc_pid_mountinfo(5)); the last mount there counts.
fn root_device(root: &Path) -> Option<String> {
    let mounts = text(root, "proc/self/mountinfo")?;
    let fields = |l: &str| l.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let found = mounts.lines().map(fields).rfind(|f| f.get(4).is_some_and(|at| at == "/"))?;
    let number = found.get(2)?.clone();
    if !number.starts_with("0:") {
        return Some(number);
    }
    // Btrfs and its like have no number of their own: the source behind the dash names a device.
    let dash = found.iter().position(|f| f == "-")?;
    let name = found.get(dash + 2)?.strip_prefix("/dev/")?;
    match name.strip_prefix("mapper/") {
        None => line(root, &format!("sys/class/block/{}/dev", plain(name)?)),
        Some(mapped) => fs::read_dir(root.join("sys/class/block")).ok()?.filter_map(Result::ok).find_map(|e| {
            let own = fs::read_to_string(e.path().join("dm/name")).ok()?;
            (own.trim() == mapped).then(|| fs::read_to_string(e.path().join("dev")).ok())?
        }),
    }
    .map(|n| n.trim().to_owned())
}

fn plain(name: &str) -> Option<&str> {
    (!name.contains('/') && name != "..").then_some(name)
}

/// Whether this device, or all that it is made of, is encrypted.
fn every_way(root: &Path, number: &str, depth: usize) -> Option<bool> {
    let at = root.join("sys/dev/block").join(number);
    if depth == 0 || !at.is_dir() {
        return None;
    }
    if fs::read_to_string(at.join("dm/uuid")).is_ok_and(|uuid| uuid.starts_with("CRYPT-")) {
        return Some(true);
    }
    let parts: Vec<String> = fs::read_dir(at.join("slaves"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|e| fs::read_to_string(e.path().join("dev")).ok())
        .map(|n| n.trim().to_owned())
        .collect();
    if parts.is_empty() {
        return Some(false);
    }
    let found: Vec<Option<bool>> = parts.iter().map(|n| every_way(root, n, depth - 1)).collect();
    if found.contains(&Some(false)) { Some(false) } else { found.into_iter().collect::<Option<Vec<_>>>().map(|_| true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine: what is mounted at `/`, and its block devices with what they are made of.
    fn machine(mount: &str, devices: &[(&str, &str, &[&str])]) -> Option<bool> {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: String, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let proc = "20 1 0:5 / /proc rw - proc proc rw\n";
        put("proc/self/mountinfo".into(), &format!("{proc}{mount}\n"));
        for (number, uuid, parts) in devices {
            put(format!("sys/dev/block/{number}/dev"), number);
            put(format!("sys/class/block/d{}/dev", number.replace(':', "-")), &format!("{number}\n"));
            if !uuid.is_empty() {
                put(format!("sys/dev/block/{number}/dm/uuid"), uuid);
                put(format!("sys/class/block/d{}/dm/name", number.replace(':', "-")), "cryptroot\n");
            }
            for part in *parts {
                put(format!("sys/dev/block/{number}/slaves/{}/dev", part.replace(':', "-")), &format!("{part}\n"));
            }
        }
        encrypted(dir.path())
    }

    #[test]
    fn luks_counts_on_every_way_down_and_nowhere_else() {
        let ext = "25 1 253:1 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw";
        let luks = "CRYPT-LUKS2-0123";
        let plain = "25 1 8:2 / / rw - ext4 /dev/sda2 rw";
        assert_eq!(machine(plain, &[("8:2", "", &[])]), Some(false));
        assert_eq!(machine("25 1 253:0 / / rw - ext4 /dev/x rw", &[("253:0", luks, &["8:2"]), ("8:2", "", &[])]), Some(true));
        // LVM on LUKS, and LVM on one disk with and one without.
        let lvm = [("253:1", "LVM-a", &["253:0"][..]), ("253:0", luks, &["8:2"]), ("8:2", "", &[])];
        assert_eq!(machine(ext, &lvm), Some(true));
        let mixed = [("253:1", "LVM-a", &["253:0", "8:3"][..]), ("253:0", luks, &["8:2"]), ("8:2", "", &[]), ("8:3", "", &[])];
        assert_eq!(machine(ext, &mixed), Some(false));
        // A part that nothing is known of makes no yes; a stack without an end neither.
        assert_eq!(machine(ext, &[("253:1", "LVM-a", &["253:0"])]), None);
        assert_eq!(machine(ext, &[("253:1", "LVM-a", &["253:1"])]), None);
    }

    #[test]
    fn what_has_no_device_of_its_own_is_found_by_its_source_or_unknown() {
        let btrfs = "25 1 0:30 /@ / rw - btrfs /dev/mapper/cryptroot rw";
        assert_eq!(machine(btrfs, &[("253:0", "CRYPT-LUKS2-1", &["8:2"]), ("8:2", "", &[])]), Some(true));
        assert_eq!(machine("25 1 0:30 /@ / rw - btrfs /dev/d8-2 rw", &[("8:2", "", &[])]), Some(false));
        assert_eq!(machine("25 1 0:30 / / rw - overlay overlay rw", &[]), None);
        assert_eq!(machine("25 1 0:30 / / rw - nfs srv:/root rw", &[]), None);
        assert_eq!(machine("25 1 0:30 / / rw - btrfs /dev/../../etc rw", &[]), None);
        // What is mounted over it counts.
        let two = "25 1 8:2 / / rw - ext4 /dev/sda2 rw\n26 1 0:31 / / rw - tmpfs tmpfs rw";
        assert_eq!(machine(two, &[("8:2", "", &[])]), None);
    }
}
