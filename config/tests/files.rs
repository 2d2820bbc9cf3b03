//! What lies on the disk: configuration files and secrets that are missing, too open, too long or no files at all.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use twinlock_config::{SecretRef, load};

/// A folder of one test, removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("twinlock-config-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn refusal(path: &Path) -> String {
    SecretRef::File(path.to_owned()).read().unwrap_err().to_string()
}

#[test]
fn a_secret_is_read_without_its_newline() {
    let folder = Folder::new("newline");
    for (content, expected) in
        [(&b"s3cret\n"[..], &b"s3cret"[..]), (b"s3cret", b"s3cret"), (b"s\n\n", b"s\n"), (b" s ", b" s ")]
    {
        let path = folder.file("secret", content, 0o600);
        assert_eq!(SecretRef::File(path).read().unwrap().as_slice(), expected);
    }
    let path = folder.file("long", &[b'x'; 4096], 0o640);
    assert_eq!(SecretRef::File(path).read().unwrap().len(), 4096);
}

#[test]
fn a_secret_that_others_may_read_or_change_is_refused_with_the_remedy() {
    let folder = Folder::new("open");
    for mode in [0o604, 0o602, 0o601, 0o620, 0o666] {
        let path = folder.file("secret", b"s3cret", mode);
        let refusal = refusal(&path);
        assert!(refusal.contains(&format!("chmod g-w,o-rwx {}", path.display())), "{mode:o}: {refusal}");
        assert!(!refusal.contains("s3cret"));
    }
}

#[test]
fn what_is_no_secret_file_is_refused() {
    let folder = Folder::new("odd");
    assert!(refusal(&folder.file("empty", b"\n", 0o600)).contains("is empty"));
    assert!(refusal(&folder.file("long", &[b'x'; 4097], 0o600)).contains("longer than 4096"));
    assert!(refusal(&folder.0).contains("not a regular file"));
    assert!(refusal(Path::new("/dev/zero")).contains("not a regular file"));
    assert!(refusal(&folder.0.join("missing")).contains("cannot be read"));
}

#[test]
fn a_credential_is_only_a_name() {
    for name in ["", ".", "..", "a/b", "../../etc/shadow"] {
        let refusal = SecretRef::Credential(name.into()).read().unwrap_err().to_string();
        assert!(refusal.contains("no name of a credential"), "{name}: {refusal}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused() {
    let folder = Folder::new("load");
    let shown = |path: &Path| load(path).unwrap_err().to_string();
    assert!(shown(&folder.0.join("missing")).contains("missing: cannot be read"));
    assert!(shown(&folder.0).contains("is not a regular file"));
    assert!(shown(&folder.file("open", b"", 0o606)).contains("written by everybody; take that right away"));
    assert!(shown(&folder.file("large", &vec![b'#'; 1024 * 1024 + 1], 0o600)).contains("larger than 1 MiB"));
    let latin = folder.file("latin", b"# ok\n# caf\xe9\n", 0o600);
    assert!(shown(&latin).contains("latin:2:6: is not UTF-8 from here on"), "{}", shown(&latin));
}
