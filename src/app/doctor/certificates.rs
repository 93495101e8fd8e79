//! What TLS uses: can it be read, and how long does it hold?

use super::Findings;
use crate::app::table::instant;
use std::fs;
use std::path::Path;
use storage::row::TimeMs;
use x509_parser::pem::Pem;

/// The folder in the data directory.
const FOLDER: &str = "tls";

const DAY_MS: i64 = 24 * 3_600_000;

/// So long before its end a certificate should be replaced: certificates that are renewed by
/// themselves are by then.
const SOON_MS: i64 = 21 * DAY_MS;

/// Largest file that is taken for certificates.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Looks at every certificate in the data directory. None is fine: there was no server yet.
pub(super) fn examine(dir: &Path, now_ms: TimeMs, findings: &mut Findings) {
    let Ok(entries) = fs::read_dir(dir.join(FOLDER)) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.extension().is_some_and(|ending| ending == "pem" || ending == "crt") {
            one(&path, now_ms, findings);
        } else if path.extension().is_some_and(|ending| ending == "key")
            && let Err(error) = fs::File::open(&path)
        {
            let detail = format!("the key `{}` cannot be read: {error}", path.display());
            findings.fail("tls", detail, "give it to the user that `emx` runs as");
        }
    }
}

/// Looks at the first certificate of a file: the others in it are authorities', which last longer.
fn one(path: &Path, now_ms: TimeMs, findings: &mut Findings) {
    let name = path.display();
    let replace = "put a valid one there, or remove `tls` and let the next start make a new one";
    let (begins_ms, ends_ms) = match validity(path) {
        Ok(validity) => validity,
        Err(why) => return findings.fail("tls", format!("`{name}`: {why}"), replace),
    };
    let ends = instant(ends_ms);
    if now_ms >= ends_ms {
        findings.fail("tls", format!("the certificate `{name}` has ended: {ends}"), replace);
    } else if now_ms < begins_ms {
        let detail = format!("the certificate `{name}` begins only at {}", instant(begins_ms));
        findings.fail("tls", detail, "look at the machine's clock, then at the certificate");
    } else if ends_ms - now_ms < SOON_MS {
        let detail = format!("the certificate `{name}` ends soon: {ends}");
        findings.warn(
            "tls",
            detail,
            "renew it; one that `emx` made is renewed while a server runs",
        );
    } else {
        findings.ok("tls", format!("the certificate `{name}` holds until {ends}"));
    }
}

/// From when to when the first certificate of a file holds, Unix milliseconds.
fn validity(path: &Path) -> Result<(TimeMs, TimeMs), String> {
    let found = fs::metadata(path).map_err(|e| e.to_string())?;
    if found.len() > PEM_BYTES_MAX {
        return Err("it is too large for a certificate".to_owned());
    }
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    let pem = Pem::iter_from_buffer(&bytes).next().ok_or("it is not a certificate in PEM")?;
    let pem = pem.map_err(|e| format!("it is not PEM: {e}"))?;
    let certificate = pem.parse_x509().map_err(|e| format!("it is not a certificate: {e}"))?;
    let validity = certificate.validity();
    Ok((validity.not_before.timestamp() * 1000, validity.not_after.timestamp() * 1000))
}
