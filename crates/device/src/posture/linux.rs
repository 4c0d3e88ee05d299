//! Linux: procfs, sysfs, efivars.

use super::{Facts, Looking, answer, said, storage};
use countersign_wire::posture::{Confidence, Name, Said};
use std::fs;
use std::path::Path;

/// Longest file that is read here, bytes: `mountinfo` of a machine with many mounts.
const FILE_BYTES: u64 = 1024 * 1024;
/// The variables of UEFI's own namespace (UEFI 2.10 §3.3).
const EFI: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// A module was loaded by force (Documentation/admin-guide/tainted-kernels).
const TAINT_FORCED: u64 = 1 << 1;
/// Programs that lock the screen of a desktop when nobody is there.
const LOCKERS: [&str; 6] = ["swayidle", "hypridle", "xss-lock", "xautolock", "xscreensaver", "light-locker"];

pub(super) fn look(at: &Looking, facts: &mut Facts) {
    let root = &at.root;
    let mut put = |name: Name, found: Option<Said>| {
        if let Some(found) = found {
            facts.insert(name, found);
        }
    };
    put(Name::Kernel, line(root, "proc/sys/kernel/osrelease").map(|v| said(&v, "proc/sys/kernel/osrelease", Confidence::Measured)));
    put(Name::OsVersion, version(root));
    put(Name::DiskEncrypted, storage::encrypted(root).map(|yes| said(answer(yes), "dm-crypt below /", Confidence::Measured)));
    put(Name::SecureBoot, secure_boot(root));
    put(Name::Tpm, tpm(root));
    put(Name::Rooted, rooted(root));
    put(Name::ScreenLock, screen_lock(at));
    put(Name::AgentRunning, agents(at));
}

/// A file's text, if it is there and of a sane length. Pseudo files say that they are empty.
pub(super) fn text(root: &Path, path: &str) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    fs::File::open(root.join(path)).ok()?.take(FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Its first line.
pub(super) fn line(root: &Path, path: &str) -> Option<String> {
    text(root, path)?.lines().next().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty())
}

/// `ID` and `VERSION_ID` (os-release(5)).
fn version(root: &Path) -> Option<Said> {
    let paths = ["etc/os-release", "usr/lib/os-release"];
    let (path, text) = paths.iter().find_map(|p| text(root, p).map(|t| (*p, t)))?;
    let of = |name: &str| {
        let value = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches(['"', '\'']).to_owned()).filter(|v| !v.is_empty())
    };
    let version = of("VERSION_ID").or_else(|| of("BUILD_ID")).unwrap_or_default();
    Some(said(&format!("{} {version}", of("ID")?), path, Confidence::Claimed))
}

/// One byte behind four of attributes (Documentation/filesystems/efivarfs). A machine that did not
/// start by EFI has none.
fn secure_boot(root: &Path) -> Option<Said> {
    if !root.join("sys/firmware").is_dir() {
        return None;
    }
    if !root.join("sys/firmware/efi").is_dir() {
        return Some(said("no", "started without EFI", Confidence::Measured));
    }
    let flag = |name: &str| match fs::read(root.join(format!("sys/firmware/efi/efivars/{name}-{EFI}"))).ok()?.as_slice() {
        [_, _, _, _, value] => Some(*value == 1),
        _ => None,
    };
    let on = flag("SecureBoot")? && !flag("SetupMode").unwrap_or(false);
    Some(said(answer(on), "efivars SecureBoot", Confidence::Measured))
}

/// A TPM 2.0 that the kernel knows.
fn tpm(root: &Path) -> Option<Said> {
    let mut entries = match fs::read_dir(root.join("sys/class/tpm")) {
        Ok(entries) => entries,
        Err(_) if root.join("sys/class").is_dir() => return Some(said("no", "sys/class/tpm", Confidence::Measured)),
        Err(_) => return None,
    };
    let second = entries.any(|e| {
        e.is_ok_and(|e| fs::read_to_string(e.path().join("tpm_version_major")).is_ok_and(|v| v.trim() == "2"))
    });
    Some(said(answer(second), "sys/class/tpm", Confidence::Measured))
}

/// Whether protections were visibly taken off. "No" means that nothing was seen, which is less: who
/// owns the kernel is not seen.
fn rooted(root: &Path) -> Option<Said> {
    let taint: u64 = line(root, "proc/sys/kernel/tainted")?.parse().ok()?;
    if taint & TAINT_FORCED != 0 {
        return Some(said("yes", "a module was forced", Confidence::Measured));
    }
    if line(root, "etc/ld.so.preload").is_some() {
        return Some(said("yes", "etc/ld.so.preload", Confidence::Measured));
    }
    Some(said("no", "kernel taint and preload", Confidence::Claimed))
}

/// A setting of the desktop, or a program that locks: another program's word either way.
fn screen_lock(at: &Looking) -> Option<Said> {
    if let Some(locks) = (at.ask)(&["gsettings", "get", "org.gnome.desktop.screensaver", "lock-enabled"]) {
        let delay = (at.ask)(&["gsettings", "get", "org.gnome.desktop.session", "idle-delay"]).unwrap_or_default();
        let idles = delay.trim_start_matches("uint32").trim() != "0";
        return Some(said(answer(locks == "true" && idles), "desktop setting", Confidence::Claimed));
    }
    let found = processes(&at.root).into_iter().find(|p| LOCKERS.contains(&p.name.as_str()))?;
    Some(said("yes", &format!("process {}", found.name), Confidence::Claimed))
}

/// Every configured one must run. A unit's processes are the init system's word, a process of root
/// has a name that nobody else could give it; another's name is a claim.
fn agents(at: &Looking) -> Option<Said> {
    if at.agents.is_empty() {
        return None;
    }
    let running = processes(&at.root);
    let mut confidence = Confidence::Measured;
    for name in &at.agents {
        let runs = if name.ends_with(".service") {
            let procs = format!("sys/fs/cgroup/system.slice/{}/cgroup.procs", name.replace('/', ""));
            line(&at.root, &procs).is_some()
        } else {
            // The kernel keeps fifteen bytes of a name.
            let short: String = name.chars().take(15).collect();
            let mut found = running.iter().filter(|p| p.name == short).peekable();
            let any = found.peek().is_some();
            if any && !found.any(|p| p.of_root) {
                confidence = Confidence::Claimed;
            }
            any
        };
        if !runs {
            return Some(said("no", &format!("{name} does not run"), Confidence::Measured));
        }
    }
    Some(said("yes", "processes", confidence))
}

struct Process {
    name: String,
    of_root: bool,
}

fn processes(root: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|e| e.file_name().to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())))
        .filter_map(|e| {
            let name = fs::read_to_string(e.path().join("comm")).ok()?.trim_end_matches('\n').to_owned();
            let status = fs::read_to_string(e.path().join("status")).unwrap_or_default();
            let uids = status.lines().find_map(|l| l.strip_prefix("Uid:"));
            Some(Process { name, of_root: uids.is_some_and(|u| u.split_whitespace().all(|u| u == "0")) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Tree {
            Tree(tempfile::tempdir().unwrap())
        }
        fn put(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Tree {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
            self
        }
        fn look(&self, agents: &[&str]) -> Facts {
            self.look_asking(agents, |_| None)
        }
        fn look_asking(&self, agents: &[&str], ask: fn(&[&str]) -> Option<String>) -> Facts {
            let agents = agents.iter().map(|a| (*a).to_owned()).collect();
            Looking { root: self.0.path().to_owned(), agents, ask, tpm: None }.facts()
        }
    }

    fn told(facts: &Facts, name: Name) -> (&str, Confidence) {
        (facts[&name].value.as_str(), facts[&name].confidence)
    }

    #[test]
    fn an_empty_tree_tells_nothing_and_nothing_is_healthy() {
        let facts = Tree::new().look(&[]);
        for name in Name::ALL.iter().filter(|n| n.is_own() && !matches!(n, Name::Os | Name::Program)) {
            assert_eq!(facts[name].value, "unknown", "{name:?}");
        }
        assert!(!facts.contains_key(&Name::Managed) && !facts.contains_key(&Name::Compliant));
    }

    #[test]
    fn a_laptop_in_order_is_told_as_one() {
        let tree = Tree::new();
        tree.put("proc/sys/kernel/osrelease", "6.1.0-42-amd64\n")
            .put("etc/os-release", "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n")
            .put(format!("sys/firmware/efi/efivars/SecureBoot-{EFI}").as_str(), [6, 0, 0, 0, 1])
            .put("sys/class/tpm/tpm0/tpm_version_major", "2\n")
            .put("proc/sys/kernel/tainted", "4096\n")
            .put("proc/812/comm", "falcon-sensor-b\n")
            .put("proc/812/status", "Name:\tx\nUid:\t0\t0\t0\t0\n")
            .put("sys/fs/cgroup/system.slice/mdatp.service/cgroup.procs", "900\n");
        let facts = tree.look(&["falcon-sensor-bpf-edition", "mdatp.service"]);
        assert_eq!(told(&facts, Name::Kernel), ("6.1.0-42-amd64", Confidence::Measured));
        assert_eq!(told(&facts, Name::OsVersion), ("debian 12", Confidence::Claimed));
        assert_eq!(told(&facts, Name::SecureBoot), ("yes", Confidence::Measured));
        assert_eq!(told(&facts, Name::Tpm), ("yes", Confidence::Measured));
        assert_eq!(told(&facts, Name::Rooted), ("no", Confidence::Claimed), "nothing seen is only a claim");
        assert_eq!(told(&facts, Name::AgentRunning), ("yes", Confidence::Measured));
    }

    #[test]
    fn what_was_taken_off_is_seen() {
        let tree = Tree::new();
        tree.put("proc/sys/kernel/tainted", "0\n")
            .put("etc/ld.so.preload", "/usr/lib/hide.so\n")
            .put(format!("sys/firmware/efi/efivars/SecureBoot-{EFI}").as_str(), [6, 0, 0, 0, 1])
            .put(format!("sys/firmware/efi/efivars/SetupMode-{EFI}").as_str(), [6, 0, 0, 0, 1])
            .put("sys/class/tpm/tpm0/tpm_version_major", "1\n");
        let facts = tree.look(&["edr"]);
        assert_eq!(told(&facts, Name::Rooted), ("yes", Confidence::Measured));
        assert_eq!(told(&facts, Name::SecureBoot), ("no", Confidence::Measured), "keys can be enrolled by anybody");
        assert_eq!(told(&facts, Name::Tpm), ("no", Confidence::Measured), "version 1.2");
        assert_eq!(told(&facts, Name::AgentRunning), ("no", Confidence::Measured));
        tree.put("etc/ld.so.preload", "").put("proc/sys/kernel/tainted", "2\n");
        assert_eq!(told(&tree.look(&[]), Name::Rooted), ("yes", Confidence::Measured), "a forced module");
    }

    #[test]
    fn a_name_that_anybody_can_give_a_process_is_a_claim() {
        let tree = Tree::new();
        tree.put("proc/812/comm", "edr\n").put("proc/812/status", "Uid:\t1000\t1000\t1000\t1000\n");
        assert_eq!(told(&tree.look(&["edr"]), Name::AgentRunning), ("yes", Confidence::Claimed));
        tree.put("proc/9/comm", "swayidle\n");
        assert_eq!(told(&tree.look(&[]), Name::ScreenLock), ("yes", Confidence::Claimed));
    }

    #[test]
    fn a_lock_that_never_comes_is_none() {
        let tree = Tree::new();
        let never = tree.look_asking(&[], |w| Some(if w.contains(&"idle-delay") { "uint32 0" } else { "true" }.to_owned()));
        assert_eq!(told(&never, Name::ScreenLock), ("no", Confidence::Claimed));
        let soon = tree.look_asking(&[], |w| Some(if w.contains(&"idle-delay") { "uint32 300" } else { "true" }.to_owned()));
        assert_eq!(told(&soon, Name::ScreenLock), ("yes", Confidence::Claimed));
    }

    #[test]
    fn whatever_stands_in_a_file_fits_a_report() {
        let tree = Tree::new();
        tree.put("proc/sys/kernel/osrelease", format!("6.1\u{1b}[2J\u{e9}{}", "x".repeat(5_000)))
            .put("etc/os-release", "ID=\u{0}\nVERSION_ID=1\n")
            .put("proc/sys/kernel/tainted", "no number\n");
        for said in tree.look(&[&"a".repeat(200)]).values() {
            assert!(!said.value.is_empty() && said.value.len() <= 128 && said.source.len() <= 64, "{said:?}");
            assert!(said.value.bytes().chain(said.source.bytes()).all(|b| (0x20..=0x7e).contains(&b)), "{said:?}");
        }
    }
}
