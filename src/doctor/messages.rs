//! Messages at the end of a way that leads to an upstream: its last steps.

use super::clean::Cleaner;
use super::message::{self, Question};
use super::probe::{Step, Way};
use gateway_core::language::Words;
use pingora::connectors::http::Connector;
use std::time::Duration;

/// Sends them one after the other; what is found becomes the last steps of the way.
///
/// # Errors
/// When one cannot be made.
pub(super) async fn send_all(questions: &[Question], cleaner: &Cleaner, way: &mut Way) -> Result<(), Words> {
    if questions.is_empty() {
        return Ok(());
    }
    let connector = Connector::new(None);
    let dns = way.steps.iter().find(|step| step.step == "dns").map(|step| step.milliseconds);
    for question in questions {
        let (mut message, detail) = message::send(&connector, question, cleaner).await?;
        message.times.dns_ms = dns;
        let taken = Duration::from_secs_f64(message.times.total_ms / 1e3);
        let mut step = Step::new("message", message.is_good(), taken, &detail, cleaner);
        if !way.findings.iter().any(|known| known.id == message.finding.id) {
            way.findings.push(message.finding);
        }
        step.message = Some(Box::new(message));
        way.steps.push(step);
    }
    Ok(())
}
