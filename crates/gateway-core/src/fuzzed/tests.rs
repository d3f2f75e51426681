//! Every target over its seeds and what was found once, and over variations of these that are the same at every run.

use super::{Choices, TARGETS, target};
use crate::chance::Chance;
use std::path::{Path, PathBuf};

/// How many variations each target is tried with; `FUZZ_CASES` says another number.
const CASES: u64 = 3_000;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a seed")).collect()
}

fn words() -> Vec<Vec<u8>> {
    let text = include_str!("../../../../fuzz/words.dict");
    let quoted = |line: &'static str| line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    text.lines().filter_map(quoted).map(unescaped).collect()
}

/// A word as libFuzzer's dictionaries have it.
fn unescaped(word: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), word.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().unwrap_or_else(|| panic!("nothing is escaped at the end of {word}")) {
            b'x' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
            }
            escaped => bytes.push(escaped),
        }
    }
    bytes
}

/// A seed, changed in one to six places.
fn varied(seeds: &[Vec<u8>], words: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut chance = Chance::new(number);
    let mut below = |count| chance.below(count);
    let mut input = seeds[below(seeds.len())].clone();
    for _ in 0..=below(6) {
        let at = below(input.len() + 1);
        let end = (at + below(9)).min(input.len());
        match below(7) {
            0 if at < input.len() => input[at] = below(256) as u8,
            1 if at < input.len() => input[at] ^= 1 << below(8),
            2 => drop(input.splice(at..at, words[below(words.len())].iter().copied())),
            3 => drop(input.drain(at..end)),
            4 => drop(input.splice(at..end, (0..below(9)).map(|_| below(256) as u8).collect::<Vec<_>>())),
            5 => {
                let other = &seeds[below(seeds.len())];
                let from = below(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
            _ => {
                let part = input[at..end].to_vec();
                input.splice(at..at, part.repeat(1 + below(4)));
            }
        }
    }
    input.truncate(4_096);
    input
}

fn hold(name: &str) {
    let (run, seeds, words) = (target(name).expect(name), seeds(name), words());
    seeds.iter().for_each(|seed| run(seed));
    let cases = std::env::var("FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    for number in 0..cases {
        let input = varied(&seeds, &words, number);
        let ended = std::panic::catch_unwind(|| run(&input));
        assert!(ended.is_ok(), "{name}, variation {number}: {}", input.escape_ascii());
    }
}

macro_rules! held {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            hold(stringify!($name));
        })*

        #[test]
        fn every_target_is_tested() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

held! {
    chunked, decimal, decode, decode_roundtrip, error_body, head, json_scan, leases, masking, meter, path, prices, query,
    redaction, rules_body, sse, tokens,
}

#[test]
fn words_of_the_dictionary_are_whole() {
    let words = words();
    let lines = include_str!("../../../../fuzz/words.dict").lines().filter(|line| line.contains('"'));
    assert_eq!(words.len(), lines.count());
    for whole in [&b"\\\""[..], b"\"text\":\"", b"\\ud83d\\ude00"] {
        assert!(words.iter().any(|word| word == whole), "{}", whole.escape_ascii());
    }
}

#[test]
#[should_panic(expected = "nothing is escaped at the end of a\\")]
fn a_word_ends_with_no_escape() {
    unescaped("a\\");
}

#[test]
fn choices_that_are_used_up_are_zero() {
    let mut choices = Choices::new(&[3, 7, 2, 1, 0, 9]);
    assert_eq!((choices.below(2), *choices.one(&["a", "b"]), choices.number()), (1, "b", 256));
    assert_eq!((choices.bytes(5), choices.byte(), choices.number(), choices.is_empty()), (&[9][..], 0, 0, true));
}
