//! What was done about thinking that came back in a request.

use crate::codes::codes;

codes! {
    /// What was done about thinking that came back where it might not fit.
    ThinkingAction {
        /// The API was asked to drop what does not fit.
        AskedToDrop = "asked_to_drop",
        /// It was refused; without it the request was served.
        Repaired = "repaired",
        /// It was refused, and so was the request without it, or something else failed then.
        NotRepaired = "not_repaired",
        /// It was refused, and the client was told.
        Refused = "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_documented() {
        let codes: Vec<&str> = ThinkingAction::ALL.iter().map(|action| action.code()).collect();
        assert_eq!(crate::codes::documented("ThinkingAction"), codes);
    }
}
