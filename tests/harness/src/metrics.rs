//! Reading the text that `/metrics` answers with.

/// The sum of all series of a metric whose labels hold `wanted`, such as `outcome="completed"`; 0 if there are none.
///
/// # Panics
/// When a value is no number.
pub fn sum(text: &str, name: &str, wanted: &[(&str, &str)]) -> f64 {
    let wanted: Vec<String> = wanted.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let has = |wanted: &String| labels.split(',').any(|label| label == wanted);
        wanted.iter().all(has).then(|| value.parse::<f64>().expect("a number"))
    });
    values.sum()
}

#[test]
fn series_are_summed_up_by_their_labels() {
    let text = "# HELP a b\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\na_more 5\nb 6\n";
    assert_eq!((sum(text, "a", &[("x", "1")]), sum(text, "a", &[("y", "3")]), sum(text, "b", &[])), (7.0, 4.0, 6.0));
    assert_eq!((sum(text, "a", &[("x", "2")]), sum(text, "c", &[])), (0.0, 0.0));
}
