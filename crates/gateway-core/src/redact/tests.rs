use super::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::NON_ALPHANUMERIC;
use proptest::prelude::*;
use sha2::Digest;

fn needles(secrets: &[&'static str]) -> Needles {
    let mut all = Secrets::default();
    secrets.iter().for_each(|secret| all.add(secret.as_bytes()));
    Needles::new(&all)
}

fn cleaned(text: &str, secrets: &[&'static str]) -> String {
    super::text(text, &[&needles(secrets)], false).into_owned()
}

#[test]
fn keys_are_masked_by_value_and_by_looks() {
    let text = "key my-own-key-1 and sk-ant-api03-AbC_d refused; Bearer abc.def-123";
    assert_eq!(cleaned(text, &["my-own-key-1"]), "key ******** and ******** refused; Bearer ********");
    assert_eq!(cleaned("key MY-OWN-KEY-1", &["my-own-key-1"]), "key ********");
    assert_eq!(cleaned("this ends in my-own-k", &["my-own-key-1"]), "this ends in ********");
    // No key, and no reason to take a text apart.
    let plain = "a task-force of sk-1, the bearer of news";
    assert_eq!(cleaned(plain, &["a", ""]), plain);
    assert!(matches!(super::text(plain, &[&needles(&["my-own-key-1"])], false), Cow::Borrowed(_)));
}

#[test]
fn a_text_that_was_cut_does_not_keep_the_beginning_of_a_secret() {
    let needles = needles(&["pass+word/1234567"]);
    for (text, masked) in [
        (r#"{"key":"pass"#, r#"{"key":"********"#),
        (r"is pass\u002bwo", "is ********"),
        (r"is pass\u00", "is ********"),
        ("is pass%2", "is ********"),
        ("is cGFzcyt3b3JkL", "is ********"),
    ] {
        assert_eq!(super::text(text, &[&needles], true), masked, "{text}");
    }
    let shortened = "the key pass+word/123... is bad";
    assert_eq!(super::text(shortened, &[&needles], false), "the key ********... is bad");
}

#[test]
fn repetition_costs_a_bounded_time_and_hides_all() {
    let secret: String = "a".repeat(8000);
    let mut secrets = Secrets::default();
    secrets.add(secret.as_bytes());
    let text = "a".repeat(64 * 1024);
    assert_eq!(super::text(&text, &[&Needles::new(&secrets)], true), MASK);
    let mut many = Secrets::default();
    (0..1000).for_each(|number| many.add(format!("secret-{number}").into_bytes()));
    assert_eq!(super::text("nothing", &[&Needles::of_request(&many)], false), MASK, "nobody can tell");
}

#[test]
fn parts_of_a_long_key_are_masked_and_its_usual_words_are_not() {
    let key = "relay-0a1B2c3D4e5F6g7H8i9J";
    for (text, masked) in [
        ("no 0a1B2c3D4e5F6g7H8i9J.", "no ********."),
        ("it ends in ...6g7H8i9J0 and", "it ends in ...6g7H8i9J0 and"),
        ("it ends in ...4e5F6g7H8i9J, and", "it ends in ...********, and"),
        ("B2c3D4e5F6g7", "********"),
        ("the relay-0a1B2c key", "the ******** key"),
        ("the relay-0a1B key", "the relay-0a1B key"),
    ] {
        assert_eq!(cleaned(text, &[key]), masked, "{text}");
    }
}

/// Everything that services answer and clients send in the fixtures, and errors as they are in the field.
#[test]
fn usual_texts_stay_as_they_are() {
    let mut secrets = Secrets::default();
    (0..64).for_each(|number| {
        let random = STANDARD.encode(sha2::Sha256::digest(format!("key {number}")));
        secrets.add(format!("sk-ant-api03-{random}").into_bytes());
        secrets.add(random.as_bytes()[..7].to_vec());
    });
    let needles = Needles::of_request(&secrets);
    let errors = [
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}"#,
        r#"{"error":{"message":"This request would exceed your organization's rate limit of 40,000 input tokens per minute","code":"rate_limit_exceeded","trace":"4bf92f3577b34da6a3ce929d0e0e4736"}}"#,
        "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>cloudflare-nginx &copy; 2026 &#8212; Ray ID: 8f2b1c9d0e3a4b5c</body></html>",
        "https://docs.anthropic.com/en/api/errors?page=2&max_tokens=64000 at /usr/lib/node_modules/@anthropic-ai/sdk/index.js:1234",
    ];
    let mut checked = 0;
    let mut check = |text: &str, of: &str| {
        checked += 1;
        assert!(
            matches!(super::text(text, &[&needles], false), Cow::Borrowed(_)),
            "{of}: {}",
            super::text(text, &[&needles], false)
        );
    };
    errors.iter().for_each(|text| check(text, text));
    for folder in ["../../tests/fixtures", "../../tests/golden"] {
        for entry in walk(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
            let Ok(text) = std::fs::read_to_string(&entry) else { continue };
            if !text.contains("sk-") && !text.contains("Bearer ") {
                check(&text, &entry.display().to_string());
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

fn walk(folder: std::path::PathBuf) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").filter_map(Result::ok).map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(path) } else { vec![path] }).collect()
}

#[test]
fn targets_keep_what_is_no_secret() {
    assert_eq!(
        target("/v1/messages?beta=true&key=abc&x&&limit=100"),
        "/v1/messages?beta=true&key=********&********&&limit=100"
    );
    assert_eq!(target("/v1/messages"), "/v1/messages");
    assert_eq!(target("/a?beta=true;key=b&limit=1x"), "/a?beta=********&limit=********");
}

/// One of the ways in which a side may escape a character.
fn escaped(character: char, way: u8) -> String {
    let code = u32::from(character);
    let mut utf8 = [0; 4];
    let percent = |upper: bool, bytes: &[u8]| {
        bytes.iter().map(|b| if upper { format!("%{b:02X}") } else { format!("%{b:02x}") }).collect::<String>()
    };
    match way {
        0 => character.to_string(),
        1 if code < 0x10000 => format!("\\u{code:04x}"),
        2 if code < 0x10000 => format!("\\u{code:04X}"),
        3 => percent(true, character.encode_utf8(&mut utf8).as_bytes()),
        4 => percent(false, character.encode_utf8(&mut utf8).as_bytes()),
        5 => format!("&#{code};"),
        6 => format!("&#x{code:x};"),
        7 if code < 0x80 => format!("\\x{code:02x}"),
        9 if code < 0x10000 => format!("%u{code:04X}"),
        10 => format!("\\u{{{code:x}}}"),
        11 => named(character),
        _ if matches!(character, '"' | '\\' | '/') => format!("\\{character}"),
        _ => character.to_string(),
    }
}

/// By the name that HTML has for a sign.
fn named(character: char) -> String {
    let name = match character {
        '-' => "hyphen",
        '_' => "lowbar",
        '.' => "period",
        '/' => "sol",
        '+' => "plus",
        '=' => "equals",
        ':' => "colon",
        '!' => "excl",
        '&' => "amp",
        '%' => "percnt",
        '\\' => "bsol",
        _ => return character.to_string(),
    };
    format!("&{name};")
}

/// References of HTML without their end.
fn open_entities(text: &str) -> String {
    text.chars().map(|c| format!("&#{}", u32::from(c))).collect()
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Base64 as it stands in mails.
fn in_lines(text: &str) -> String {
    text.as_bytes().chunks(16).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// However a secret is escaped, coded and nested, nothing of it stays; what stands around it does.
    #[test]
    fn no_form_of_a_secret_stays(
        secret in "[ -~ü]{12,40}",
        ways in prop::collection::vec(0u8..12, 40),
        form in 0u8..14,
        before in "[ -~]{0,9}",
        after in "[ -~]{0,9}",
        is_nested in any::<bool>(),
    ) {
        // One that begins like its surroundings cannot be told from them.
        prop_assume!(secret.trim() == secret);
        let mut secrets = Secrets::default();
        secrets.add(secret.as_bytes());
        let needles = Needles::new(&secrets);
        let escaped: String = secret.chars().zip(&ways).map(|(c, way)| escaped(c, *way)).collect();
        let told = match form {
            0 => secret.clone(),
            1 => json(&secret),
            2 => escaped,
            3 => STANDARD.encode(format!("{before}{secret}{after}")),
            4 => URL_SAFE_NO_PAD.encode(format!("{before}{secret}{after}")),
            5 => percent_encoding::utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string(),
            6 => secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;"),
            7 => hexadecimal(&secret),
            8 => hexadecimal(&secret).to_uppercase(),
            9 => in_lines(&STANDARD.encode(format!("{before}{secret}{after}"))),
            10 => STANDARD.encode(STANDARD.encode(format!("{before}{secret}{after}"))),
            11 => URL_SAFE_NO_PAD.encode(percent_encoding::utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string()),
            12 => open_entities(&secret),
            _ => secret.chars().map(named).collect(),
        };
        // A mix of ways may undo itself where the secret has escapes of its own.
        let has_escapes = secret.contains(['\\', '%', '&']);
        prop_assume!(!matches!(form, 2 | 12 | 13) || !has_escapes);
        let told = format!("<<{told}>>");
        let text = if is_nested { json(&json(&told)) } else { told };
        let masked = super::text(&text, &[&needles], false);
        let inner = masked.split_once("<<").and_then(|(_, rest)| rest.rsplit_once(">>")).map(|(inner, _)| inner);
        // Backslashes alone say nothing.
        let left: String = inner.unwrap_or_default().replace(MASK, "").replace('\\', "");
        // Base64 keeps what is around the secret, in groups of its own.
        let around = before.len() + after.len();
        let allowed = match form {
            3 | 4 => around * 4 / 3 + 4,
            // Line breaks are escaped too.
            9 => around * 4 / 3 + 24,
            10 => around * 16 / 9 + 12,
            _ => 8,
        };
        prop_assert!(masked.contains(MASK), "{text} {masked}");
        prop_assert!(left.len() <= allowed, "{text} {masked}");
        prop_assert!(!masked.contains(&secret));
    }

    /// Twelve characters of a long secret are enough, wherever they stand in it, and however they are written.
    #[test]
    fn no_piece_of_a_long_secret_stays(
        secret in "[A-Za-z0-9]{16,60}",
        (from, length) in (0usize..48, 12usize..40),
        form in 0u8..5,
    ) {
        let mut secrets = Secrets::default();
        secrets.add(secret.as_bytes());
        let from = from.min(secret.len() - 12);
        let piece = &secret[from..(from + length).min(secret.len())];
        let told = match form {
            0 => piece.to_owned(),
            1 => hexadecimal(piece),
            2 => in_lines(&STANDARD.encode(piece)),
            3 => open_entities(piece),
            _ => STANDARD.encode(STANDARD.encode(piece)),
        };
        let text = format!("the key (...{told}...) is not valid");
        let masked = super::text(&text, &[&Needles::new(&secrets)], false).into_owned();
        let left = masked.replace(MASK, "").replace(['\r', '\n'], "");
        // Padding that was coded again says nothing.
        prop_assert!(left.len() <= "the key (......) is not valid".len() + 8, "{} {}", text, masked);
    }

    /// Wherever the end is, less than three characters of a secret stay.
    #[test]
    fn no_cut_leaves_the_beginning(secret in "[A-Za-z0-9]{8,30}", cut in 3usize..8, way in 0u8..11) {
        let mut secrets = Secrets::default();
        secrets.add(secret.as_bytes());
        let needles = Needles::new(&secrets);
        let told: String = secret.chars().take(cut).map(|c| escaped(c, way)).collect();
        let masked = super::text(&told, &[&needles], true).into_owned();
        prop_assert_eq!(masked, MASK);
    }

    /// Whatever comes in, it is taken without a panic, and is still a text.
    #[test]
    fn any_text_can_be_cleaned(text in "\\PC{0,80}", secret in "\\PC{6,20}", is_cut in any::<bool>()) {
        let mut secrets = Secrets::default();
        secrets.add(secret.as_bytes());
        let _ = super::text(&text, &[&Needles::new(&secrets)], is_cut);
    }
}
