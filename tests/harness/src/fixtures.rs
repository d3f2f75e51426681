//! The captured Claude Code requests in `tests/fixtures`.

use std::path::Path;

/// One captured request.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// File name without its ending.
    pub name: String,
    /// The head, CRLF line ends, up to and with the empty line.
    pub head: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Fixture {
    /// Head and body as a client sends them.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head.as_slice(), &self.body].concat()
    }

    /// The head's fields in order, names as spelled.
    pub fn fields(&self) -> Vec<(String, String)> {
        let head = String::from_utf8_lossy(&self.head).into_owned();
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The request target.
    pub fn target(&self) -> String {
        String::from_utf8_lossy(&self.head).split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

/// Every fixture, in order of name.
///
/// # Panics
/// When there is none: a test that loops over nothing would pass.
pub fn all() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("tests/fixtures")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".head").map(str::to_owned))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no fixture in tests/fixtures");
    let read = |name: &str, ending: &str| std::fs::read(folder.join(format!("{name}.{ending}"))).expect("a fixture");
    names
        .into_iter()
        .map(|name| {
            let head = String::from_utf8(read(&name, "head")).expect("a head in UTF-8");
            let lines: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
            let head = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
            let body = read(&name, "json");
            Fixture { name, head, body }
        })
        .collect()
}

/// The fixture of this name.
///
/// # Panics
/// When there is none.
pub fn named(name: &str) -> Fixture {
    all().into_iter().find(|fixture| fixture.name == name).unwrap_or_else(|| panic!("no fixture {name}"))
}
