//! An archive whose digests are all right and whose content somebody has made.

use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::Path;

/// An entry that is written as it stands.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: tar::EntryType,
    pub(crate) content: Vec<u8>,
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The entries of a backup, and its manifest.
pub(crate) fn read(file: &Path) -> (Vec<Entry>, Value) {
    let mut archive = tar::Archive::new(fs::File::open(file).unwrap());
    let mut entries = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        entries.push(Entry { name, kind: tar::EntryType::Regular, content });
    }
    entries.pop();
    let manifest = serde_json::from_slice(&entries.pop().unwrap().content).unwrap();
    (entries, manifest)
}

/// Gives the manifest the sizes and digests of what is there.
pub(crate) fn agree(entries: &[Entry], manifest: &mut Value) {
    for (entry, told) in entries.iter().zip(manifest["files"].as_array_mut().unwrap()) {
        told["bytes"] = entry.content.len().into();
        told["sha256"] = sha256(&entry.content).into();
    }
}

fn push(out: &mut Vec<u8>, entry: &Entry, mtime_s: u64) {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
    header.set_entry_type(entry.kind);
    header.set_mode(0o600);
    header.set_size(entry.content.len() as u64);
    header.set_mtime(mtime_s);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&entry.content);
    out.resize(out.len().next_multiple_of(512), 0);
}

pub(crate) fn write(file: &Path, entries: &[Entry], manifest: &Value) {
    let mut out = Vec::new();
    for entry in entries {
        push(&mut out, entry, 0);
    }
    let (kind, content) = (tar::EntryType::Regular, serde_json::to_vec(manifest).unwrap());
    push(&mut out, &Entry { name: "manifest.json".into(), kind, content }, 0);
    let content = format!("{}\n", sha256(&out)).into_bytes();
    push(&mut out, &Entry { name: "sha256".into(), kind, content }, 0);
    out.resize(out.len() + 1024, 0);
    fs::write(file, out).unwrap();
}
