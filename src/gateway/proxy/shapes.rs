//! What the prompt of a request looks like, as it came and as it went out.

use gateway_core::prompt_shape::PromptShape;

/// What the prompt of a request looks like.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    /// Whether somebody wants to know: its body is a prompt, and rows are kept.
    pub is_wanted: bool,
    /// Whether that is to be kept, for dry runs.
    pub is_kept: bool,
    /// As it came.
    pub came: Option<Box<PromptShape>>,
    /// As it went out, where rules changed it.
    pub sent: Option<Box<PromptShape>>,
}

impl Shapes {
    /// Notes it, once, of the body as it came and of what rules made of it. This is done just before both are given up, so that
    /// no request waits for it on its way to the upstream.
    pub(crate) fn note(&mut self, came: Option<&[u8]>, sent: Option<&[u8]>) {
        if std::mem::take(&mut self.is_wanted) {
            self.came = came.and_then(PromptShape::of).map(Box::new);
            let shape = |sent| match (&self.came, came) {
                (Some(shape), Some(came)) => shape.of_changed(came, sent),
                _ => PromptShape::of(sent),
            };
            self.sent = sent.and_then(shape).map(Box::new);
        }
    }
}
