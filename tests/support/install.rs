//! Programs that are not ours, with the packages they need: installed once, pinned, below `target/`.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where what they need is installed: it stays there for the next time.
fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(name)
}

/// Whether `program` is there.
pub(crate) fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Whether a command does its work.
fn does(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Installs into `dir`, which `install` fills, what the file `list` names; what was installed by the
/// same list before is good. `None` where that cannot be done from here.
fn install(dir: PathBuf, list: &Path, install: impl FnOnce(&Path) -> bool) -> Option<PathBuf> {
    // Tests are processes of their own, and one of them installs.
    std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let alone = File::create(dir.with_extension("lock")).unwrap();
    alone.lock().unwrap();
    let wanted = std::fs::read(list).unwrap();
    let done = dir.join(".installed");
    if std::fs::read(&done).is_ok_and(|found| found == wanted) {
        return Some(dir);
    }
    let _not_there = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    install(&dir).then(|| std::fs::write(&done, wanted).unwrap()).map(|()| dir)
}

/// Python with the packages that `requirements.txt` in `folder` lists, in an environment called `name`.
pub(crate) fn python(folder: &Path, name: &str) -> Result<PathBuf, &'static str> {
    if !has("python3") {
        return Err("there is no `python3`");
    }
    let list = folder.join("requirements.txt");
    let environment = install(installed(name), &list, |dir| {
        does(Command::new("python3").args(["-m", "venv"]).arg(dir))
            && does(
                Command::new(dir.join("bin/pip"))
                    .args(["install", "--quiet", "--no-deps", "--requirement"])
                    .arg(&list),
            )
    });
    environment
        .map(|dir| dir.join("bin/python"))
        .ok_or("its packages cannot be installed from here")
}

/// A directory called `name` with the programs `files` of `folder` for Node, as one would copy them, and
/// the packages that the lists there name.
pub(crate) fn node(folder: &Path, name: &str, files: &[&str]) -> Result<PathBuf, &'static str> {
    if !has("node") || !has("npm") {
        return Err("there is no `node` with `npm`");
    }
    let list = folder.join("package-lock.json");
    let dir = install(installed(name), &list, |dir| {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(folder.join(file), dir.join(file)).unwrap();
        }
        does(Command::new("npm").args(["ci", "--ignore-scripts", "--no-progress"]).current_dir(dir))
    });
    let dir = dir.ok_or("its packages cannot be installed from here")?;
    for file in files {
        add(&folder.join(file), &dir, file);
    }
    Ok(dir)
}

/// Puts a program into `dir`, whole at once: another test may be about to run it.
pub(crate) fn add(program: &Path, dir: &Path, name: &str) {
    let fresh = dir.join(format!("{name}.{}", std::process::id()));
    std::fs::copy(program, &fresh).unwrap();
    std::fs::rename(fresh, dir.join(name)).unwrap();
}
