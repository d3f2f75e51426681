//! The Dockerfile copies file by file: what a manifest names and it leaves out would be missed only by who builds the image.

use std::path::Path;
use std::process::Command;

/// The steps of the stage that builds the program, up to the first build: what is copied to where, and what is run.
fn first_steps(dockerfile: &str) -> (Vec<(String, String)>, String) {
    let stage =
        dockerfile.split("\nFROM ").find(|stage| stage.lines().next().is_some_and(|name| name.ends_with(" AS build")));
    let text = stage.expect("a stage of this name").replace("\\\n", " ");
    let (mut copies, mut scripts) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("COPY ") {
            let words: Vec<&str> = words.split_whitespace().collect();
            let (to, from) = words.split_last().expect("a target");
            copies.extend(from.iter().map(|from| ((*from).to_owned(), (*to).to_owned())));
        }
        if let Some((script, _)) = line.strip_prefix("RUN ").and_then(|script| script.split_once("&& cargo build")) {
            scripts.push(script.to_owned());
            break;
        }
    }
    (copies, scripts.concat())
}

/// A file goes into a folder that is named with a slash or is there; a folder becomes the target.
fn copy(root: &Path, to: &Path, (from, target): &(String, String)) {
    let source = root.join(from);
    let is_folder = target.ends_with('/') || target == "." || target == "./";
    let place = if source.is_file() && is_folder {
        to.join(target).join(source.file_name().expect("a name"))
    } else {
        to.join(target)
    };
    std::fs::create_dir_all(place.parent().expect("a folder")).expect("made");
    let status = Command::new("cp").arg("-r").arg(&source).arg(&place).status();
    assert!(status.expect("cp runs").success(), "COPY {from} {target}");
}

#[test]
fn the_dockerfile_copies_what_the_manifests_name() {
    let root = super::root();
    let folder = tempfile::tempdir().expect("a folder");
    let (copies, script) = first_steps(&std::fs::read_to_string(root.join("Dockerfile")).expect("read"));
    copies.iter().for_each(|pair| copy(root, folder.path(), pair));
    let made = Command::new("sh").args(["-c", script.trim()]).current_dir(folder.path()).output().expect("sh runs");
    assert!(made.status.success(), "{script}: {}", String::from_utf8_lossy(&made.stderr));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Cargo looks for all that the manifests name before it misses a program that nobody has.
    let build = Command::new(cargo)
        .args(["build", "--offline", "--locked", "-p", "anyrouter-gateway", "--bin", "of-nobody"])
        .current_dir(folder.path())
        .output()
        .expect("cargo runs");
    let told = String::from_utf8_lossy(&build.stderr);
    assert!(told.contains("no bin target named `of-nobody`"), "{told}");
}
