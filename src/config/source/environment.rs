//! Environment variables, and texts that name some.

use super::message::Message;

/// Looks up an environment variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A text in which `${env.X}` stands for a variable.
///
/// # Errors
/// When it names anything else, or a variable that is not set. The text is not repeated: it may be a key.
pub(crate) fn expand(text: &str, env: Lookup<'_>) -> Result<String, Message> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or(Message::BraceMissing)?;
        let name = name.strip_prefix("env.").ok_or(Message::OnlyVariables)?;
        let value = env(name).filter(|value| !value.is_empty());
        expanded.push_str(before);
        expanded.push_str(&value.ok_or_else(|| Message::VariableNotSet { name: name.to_owned() })?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_inside_of_texts() {
        let env = |name: &str| (name == "K").then(|| "sk-1".to_owned());
        assert_eq!(expand("a${env.K}b", &env).as_deref(), Ok("ask-1b"));
        assert!(
            expand("${K}", &env).is_err() && expand("${env.NONE}", &env).is_err() && expand("${env.K", &env).is_err()
        );
    }
}
