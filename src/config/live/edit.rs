//! What an edit would do, without doing it.

use super::view::{Change, ProblemView};
use super::{InForce, Live};
use crate::config::Config;
use crate::config::source::problem::Problem;

/// What an edit would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Checked {
    /// What is wrong with it; empty if it could be applied.
    pub problems: Vec<ProblemView>,
    /// What it would change.
    pub changes: Vec<Change>,
    /// The keys among these that would need a restart.
    pub needs_restart: Vec<String>,
    /// What is valid in it, but hardly what was meant.
    pub warnings: Vec<ProblemView>,
}

impl Live {
    /// What an edit of the overlay, the headers file, or both would do. Nothing is changed.
    pub(crate) fn check(&self, overlay: Option<&str>, headers: Option<&str>) -> Checked {
        let wrong = |problems: &[Problem]| {
            let texts = &self.in_force.load().texts;
            let problems = problems.iter().map(|problem| ProblemView::of(problem, texts)).collect();
            Checked { problems, ..Checked::default() }
        };
        let checked = self.restore(overlay, headers).and_then(|(overlay, headers)| {
            let loaded = self.load_edit(overlay.as_deref(), headers.as_deref())?;
            let edited = InForce::of(&loaded);
            drop(self.prepared(loaded)?);
            Ok(edited)
        });
        match checked {
            Ok(InForce { texts, shown, warnings, .. }) => {
                let in_force = self.in_force.load();
                let mut changes = in_force.shown.changes(&shown);
                if in_force.texts.headers != texts.headers
                    && !changes.iter().any(|change| change.key.starts_with("header "))
                {
                    changes.push(Change {
                        key: "gateway.headers_file".to_owned(),
                        before: String::new(),
                        after: "other values".to_owned(),
                    });
                }
                let needs_restart = shown.pending_restart(&self.started);
                let needs_restart =
                    needs_restart.into_iter().filter(|key| changes.iter().any(|change| change.key == *key)).collect();
                let warnings = warnings.iter().map(|warning| ProblemView::of(warning, &texts)).collect();
                Checked { problems: Vec::new(), changes, needs_restart, warnings }
            }
            Err(problems) => wrong(&problems.0),
        }
    }

    /// The configuration that this overlay would make, for trying it. Nothing of it is in force.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn draft(&self, overlay: &str) -> Result<Config, Vec<ProblemView>> {
        let loaded =
            self.restore(Some(overlay), None).and_then(|(overlay, _)| self.load_edit(overlay.as_deref(), None));
        loaded.map(|loaded| loaded.config).map_err(|problems| {
            let texts = &self.in_force.load().texts;
            problems.0.iter().map(|problem| ProblemView::of(problem, texts)).collect()
        })
    }
}
