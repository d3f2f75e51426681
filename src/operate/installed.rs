//! The service that is installed, as its unit has it: for commands that look at its configuration while it does not run, or
//! would start with another one than it runs with.

use super::running::UNITS;
use crate::config::{self, Arguments, EnvironmentFile, text_file};
use gateway_core::language::Language;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where drop-ins are.
const DROP_INS: &str = "/etc/systemd/system/anyrouter-gateway.service.d";
/// Where systemd keeps the state of services (`%S`).
const STATE: &str = "/var/lib";
/// What stands for the folder of credentials, while there is none.
const CREDENTIALS: &str = "%d/";

/// What it would be started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Installed {
    /// Its YAML file.
    pub file: String,
    /// The folder that it is started in.
    pub folder: PathBuf,
    /// Its variables, as far as they can be read.
    pub variables: BTreeMap<String, String>,
    /// The file with most of them, if it can be read.
    pub environment_file: Option<EnvironmentFile>,
    /// A file of variables that only others may read.
    pub denied: Option<PathBuf>,
}

impl Installed {
    /// The service of this machine; `None` if there is none with a file that can be read.
    pub(super) fn find() -> Option<Self> {
        let unit = UNITS.iter().find_map(|path| text_file::read_again(Path::new(path)))?;
        let entries = std::fs::read_dir(DROP_INS).map(|entries| entries.flatten().collect::<Vec<_>>());
        let mut drop_ins: Vec<PathBuf> = entries.unwrap_or_default().iter().map(std::fs::DirEntry::path).collect();
        drop_ins.retain(|path| path.extension().is_some_and(|end| end == "conf"));
        drop_ins.sort();
        let texts = std::iter::once(unit).chain(drop_ins.iter().filter_map(|path| text_file::read_again(path)));
        Self::read(&Unit::of(texts))
    }

    fn read(unit: &Unit) -> Option<Self> {
        let file = unit.configuration.clone()?;
        // Whether it is there, and can be read.
        text_file::read(&file).ok()?;
        let mut found = Self { file, folder: unit.folder.clone(), ..Self::default() };
        found.variables.extend(unit.variables.iter().cloned());
        for path in &unit.environment_files {
            match text_file::read(path) {
                Ok(text) => {
                    let file = config::environment_file(path, &text);
                    let variables = file.variables().map(|(name, value)| (name.to_owned(), value.to_owned()));
                    found.variables.extend(variables);
                    found.environment_file = Some(file);
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => found.denied = Some(PathBuf::from(path)),
                // The unit leaves out what is not there.
                Err(_) => {}
            }
        }
        Some(found)
    }
}

/// The language that the service is told to speak, as far as this user may read that.
pub(crate) fn language_of_service() -> Option<Language> {
    let Installed { file, variables, .. } = Installed::find()?;
    let arguments = Arguments { file: Some(file), ..Arguments::default() };
    config::spoken(&arguments, &|name| variables.get(name).cloned())
}

/// What units say of how the service is started.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unit {
    configuration: Option<String>,
    folder: PathBuf,
    variables: Vec<(String, String)>,
    environment_files: Vec<String>,
    /// Each with the file that it is made of.
    credentials: Vec<(String, String)>,
}

impl Unit {
    /// Of the text of the unit, and those of its drop-ins.
    fn of(texts: impl Iterator<Item = String>) -> Self {
        let mut unit = Self::default();
        let texts: Vec<String> = texts.map(|text| text.replace("\\\n", " ")).collect();
        let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
        for (key, value) in lines.filter(|line| !line.starts_with(['#', ';'])).filter_map(|line| line.split_once('=')) {
            unit.set(key.trim_end(), value.trim_start());
        }
        let Self { variables, credentials, .. } = &mut unit;
        for (_, value) in variables {
            // They are only there while the service runs.
            let credential = value.strip_prefix(CREDENTIALS);
            let of = credential.and_then(|name| credentials.iter().find(|(known, _)| known == name));
            *value = of.map_or_else(|| without_specifiers(value), |(_, path)| path.clone());
        }
        unit
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "ExecStart" => {
                let words = words(value);
                let named = words.iter().skip_while(|word| !matches!(word.as_str(), "-c" | "--config")).nth(1);
                self.configuration = named.map(|path| without_specifiers(path)).or_else(|| self.configuration.take());
            }
            "WorkingDirectory" => self.folder = PathBuf::from(without_specifiers(value.trim_start_matches('-'))),
            "RuntimeDirectory" => {
                self.variables.push(("RUNTIME_DIRECTORY".to_owned(), format!("/run/{value}")));
            }
            "Environment" if value.is_empty() => self.variables.retain(|(name, _)| name == "RUNTIME_DIRECTORY"),
            "Environment" => {
                let pair =
                    |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
                self.variables.extend(words(value).iter().filter_map(pair));
            }
            "EnvironmentFile" if value.is_empty() => self.environment_files.clear(),
            "EnvironmentFile" => self.environment_files.push(without_specifiers(value.trim_start_matches('-'))),
            "LoadCredential" => {
                let pair = value.split_once(':');
                self.credentials.extend(pair.map(|(name, path)| (name.to_owned(), without_specifiers(path))));
            }
            _ => {}
        }
    }
}

/// The words of a value, without quotes.
fn words(value: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in value.chars() {
        match (quote, character) {
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (Some(open), _) if open == character => quote = None,
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.into_iter().chain(word).collect()
}

fn without_specifiers(text: &str) -> String {
    text.replace("%S", STATE).replace("%t", "/run").replace("%E", "/etc").replace("%%", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../conf/anyrouter-gateway.service");

    #[test]
    fn the_shipped_unit_says_how_the_service_is_started() {
        let unit = Unit::of([SHIPPED.to_owned()].into_iter());
        assert_eq!(unit.configuration.as_deref(), Some("/etc/anyrouter-gateway/gateway.yaml"));
        assert_eq!(unit.folder, Path::new("/var/lib/anyrouter-gateway"));
        assert_eq!(unit.environment_files, ["/etc/anyrouter-gateway/environment"]);
        let variables = [("HOME", "/var/lib/anyrouter-gateway"), ("RUNTIME_DIRECTORY", "/run/anyrouter-gateway")];
        assert_eq!(unit.variables, variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn drop_ins_count_after_the_unit() {
        let drop_in = "[Service]\nLoadCredential=tls.key:/etc/ssl/private/100%%.key\nEnvironment=TLS_KEY=%d/tls.key\n\
                       Environment=\"A=1 2\" B=%%d\nEnvironmentFile=\nEnvironmentFile=/etc/other\n\
                       ExecStart=\nExecStart=/usr/bin/anyrouter-gateway \\\n  --config \"/etc/gw a.yaml\"\n";
        let unit = Unit::of([SHIPPED.to_owned(), drop_in.to_owned()].into_iter());
        assert_eq!(unit.configuration.as_deref(), Some("/etc/gw a.yaml"));
        assert_eq!(unit.environment_files, ["/etc/other"]);
        let value =
            |name: &str| unit.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(
            [value("TLS_KEY"), value("A"), value("B")],
            [Some("/etc/ssl/private/100%.key"), Some("1 2"), Some("%d")]
        );
    }

    #[test]
    fn the_variables_of_its_file_are_those_of_the_service() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("gateway.yaml"), "gateway: {}\n").expect("written");
        std::fs::write(path("environment"), "export A=1\nPORT=\"9000\"\nHOME=/there\n").expect("written");
        let unit = Unit {
            configuration: Some(path("gateway.yaml")),
            folder: folder.path().to_owned(),
            variables: vec![("HOME".to_owned(), "/here".to_owned())],
            environment_files: vec![path("none"), path("environment")],
            credentials: Vec::new(),
        };
        let found = Installed::read(&unit).expect("a service");
        let variables: Vec<(&str, &str)> = found.variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(variables, [("HOME", "/there"), ("PORT", "9000")]);
        let file = found.environment_file.expect("read");
        assert_eq!((file.left_out.len(), file.line_of("PORT", Some("9000"))), (1, Some(2)));
        assert_eq!(Installed::read(&Unit { configuration: Some(path("none")), ..unit }), None);
    }
}
