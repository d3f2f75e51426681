use super::*;

/// Line, column and what to type.
fn told(slips: Vec<Slip>) -> Vec<String> {
    let right = |what: Message| match what {
        Message::TypedWide { right, .. } => right,
        Message::TypedBlank { .. } => "blank".to_owned(),
        Message::TypedUnseen { .. } => "nothing".to_owned(),
        other => panic!("{other:?}"),
    };
    slips.into_iter().map(|slip| format!("{}:{} {}", slip.line, slip.column, right(slip.what))).collect()
}

#[test]
fn in_yaml_they_are_told_where_a_program_reads_them() {
    for (text, wanted) in [
        ("gateway：\n  listen: a", &["1:8 :"][..]),
        ("gateway:\n  listen： 127.0.0.1:8088\n", &["2:9 :"]),
        ("  - name： 中转\n", &["1:9 :"]),
        ("a: “sk-1”\n", &["1:4 \"", "1:9 \""]),
        ("a: ‘x’\n", &["1:4 '", "1:6 '"]),
        ("a: [x， y]\n", &["1:6 ,"]),
        ("a: ［x］\n", &["1:4 [", "1:6 ]"]),
        ("a: {b： 1}\n", &["1:6 :"]),
        ("u: https：//x.example\n", &["1:9 :"]),
        ("gateway:\n\u{3000}\u{3000}listen: x\n", &["2:1 blank", "2:2 blank"]),
        ("\u{a0} a: b\n", &["1:1 blank"]),
        ("a:\u{a0}b\n", &["1:3 blank"]),
        ("a: b\u{3000}\n", &["1:5 blank"]),
        ("x: 1\n\u{feff}gateway:\n", &["2:1 nothing"]),
        ("a: b ＃ 说明\n", &["1:6 #"]),
        ("＃ 说明：全部\na: b\n", &["1:1 #"]),
        ("listen: １２７.0.0.1:8088\n", &["1:9 1", "1:10 2", "1:11 7"]),
    ] {
        assert_eq!(told(in_yaml(text)), wanted, "{text:?}");
    }
}

#[test]
fn what_people_write_for_people_is_left_alone() {
    for text in [
        "# 注释：“这样”，那样\na: b  # 说明，如此\n",
        "a: \"你好：“世界”，　。\"\n",
        "a: '：，'\nb: \"two\n  lines：\"\nc: d\n",
        "text: |\n  第一行：“引号”\n\n  a： b\nnext: 1\n",
        "list:\n  - >-\n    a：b\n  - c\n",
        "a: 请用中文回答，“简短”一些（不超过三句）：好\n",
        "a: I’d say “hello” to all\n",
        "a: Be brief, and say “yes”\n",
        "a: of the users’\n",
        "a: 请用中文回答。\n  Claude：你的名字\n  - OK：好\n",
        "a: ：好\n  ：好\n",
        "a: 'it''s：“a”，　 # b'\nb: c\n",
        "a: 👩\u{200d}💻 می\u{200c}خواهم\n",
    ] {
        assert_eq!(told(in_yaml(text)), Vec::<String>::new(), "{text:?}");
    }
}

#[test]
fn in_json_they_are_told_outside_of_its_texts() {
    assert_eq!(told(in_json("{\n  “a”：\"b：“c”\\\"，\"，\n\u{3000}}")).len(), 5);
    assert_eq!(told(in_json("{“a”: 1}")), ["1:2 \"", "1:4 \""]);
    assert_eq!(told(in_json("{\"a\": \"“b”：，　\"}")), Vec::<String>::new());
}

#[test]
fn in_variables_a_name_is_told_from_a_value() {
    for (text, wanted) in [
        ("A=1\nAPI_BASE_URL：https://x\n", &["2:13 = true"][..]),
        ("API_BASE_URL＝https://x\n", &["1:13 = true"]),
        ("A=1\n\u{feff}B=2\n", &["2:1 nothing true"]),
        ("ＡB=2\n", &["1:1 A true"]),
        ("A=“x”\n", &["1:3 \" false", "1:5 \" false"]),
        ("A=https：//a，https://b\n", &["1:8 : false", "1:12 , false"]),
        ("A=b ＃ 说明\n", &["1:5 # false"]),
        // What was put out of use is no reason to refuse the file, nor is a sentence.
        ("＃API_BASE_URL=https://x\n", &["1:1 # false"]),
        ("＃ 说明 一\n", &["1:1 # true"]),
        ("说明：这里填密钥\n说明（可选）=x\n", &[]),
        ("A=Claude：请用中文\n", &[]),
        // Lines end as they do for the parser.
        ("A=1\rB=“x”\nC\n", &["2:3 \" false", "2:5 \" false"]),
        ("A=\"“x”：\"\n", &[]),
        ("# 说明：“x”\nA=你好，“世界”：好\n", &[]),
    ] {
        let told: Vec<String> = in_dotenv(text)
            .into_iter()
            .map(|(slip, is_of_name)| format!("{} {is_of_name}", told(vec![slip]).remove(0)))
            .collect();
        assert_eq!(told, wanted, "{text:?}");
    }
}

#[test]
fn only_the_first_of_many_are_told() {
    assert_eq!(in_yaml(&"a： b\n".repeat(50)).len(), MOST);
    assert_eq!(in_yaml(&"，".repeat(50)).len(), MOST);
    assert_eq!(in_json(&"，".repeat(50)).len(), MOST);
    assert_eq!(in_dotenv(&"A=“x”\n".repeat(50)).len(), MOST);
}

/// What is looked at for each character does not grow with the line: this took hours.
#[test]
fn long_lines_are_read_through_once() {
    for text in [" ".repeat(1024 * 1024), "\u{3000}".repeat(300_000), "”".repeat(300_000)] {
        let line = format!("a: 好{text}x");
        assert!(in_yaml(&line).len() <= MOST);
        assert!(in_json(&line).len() <= MOST);
        assert!(in_dotenv(&line).len() <= MOST);
    }
}
