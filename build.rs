//! Has the crate built again when the panel was: what is embedded changes with it.

fn main() {
    // A folder that is not there yet appears in the one above.
    let folder = if std::path::Path::new("static/dist").exists() { "static/dist" } else { "static" };
    println!("cargo:rerun-if-changed={folder}");
    println!("cargo:rerun-if-changed=build.rs");
}
