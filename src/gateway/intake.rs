//! Whether and how the body of a request changes before it goes out.

use super::context::Context;
use crate::http1::split_query;
use crate::rules::system::SystemPrompt;
use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use pingora::http::RequestHeader;

/// Whether the system prompt of this request is to be rewritten. A body in a content coding is left alone.
pub fn wants_rewrite(request: &RequestHeader) -> bool {
    let (path, _) = split_query(request.raw_path());
    SystemPrompt::applies_to(request.method.as_str(), path)
        && request.headers.get_all(CONTENT_ENCODING).iter().all(|coding| coding.is_empty() || coding == "identity")
}

/// Rewrites the system prompt, and notes what was done.
pub fn rewrite(context: &mut Context) {
    let (Some(prompt), Some(held)) = (&context.snapshot.config.system_prompt, &mut context.body) else { return };
    context.rewrite = Some(match prompt.edit(&held.bytes) {
        Ok((rewrite, edit)) => {
            held.bytes = Bytes::from(edit.apply(&held.bytes));
            Ok(rewrite)
        }
        Err(unchanged) => {
            log::debug!("{}: the system prompt stays as it is: {unchanged}", context.request_id);
            Err(unchanged)
        }
    });
}
