//! What is kept of a request beside its row: texts that few have, and what some look like.

use gateway_core::prompt_shape::kept::KeptHead;
use gateway_core::record::RequestRecord;
use std::sync::Arc;

/// Shapes that are written of one batch. A batch is a second's at most: where requests come faster, that is enough to try rules
/// on, the kept ones reach further back, and a shape costs ten times what its row does.
const SHAPES_OF_BATCH: usize = 50;

/// The texts of a record.
#[derive(Debug)]
pub(super) struct Texts<'r> {
    pub error_body: Option<&'r str>,
    pub head: Option<&'r str>,
    pub body: Option<&'r str>,
    pub is_cut: bool,
}

impl<'r> Texts<'r> {
    /// Those of this record; `None` if it has none.
    pub(super) fn of(record: &'r RequestRecord) -> Option<Self> {
        if record.kept_bytes() == 0 {
            return None;
        }
        let capture = record.capture.as_deref();
        Some(Self {
            error_body: record.error.as_ref().map(|error| error.body.as_str()).filter(|body| !body.is_empty()),
            head: capture.map(|capture| capture.head.as_str()),
            body: capture.map(|capture| capture.body.as_str()),
            is_cut: capture.is_some_and(|capture| capture.is_cut),
        })
    }
}

/// What requests look like, written down: it is done here so that no request waits for it, and before a transaction begins, for
/// which others wait.
pub(super) fn shapes_of(records: &[Arc<RequestRecord>]) -> Vec<(&RequestRecord, String)> {
    let shapes = records.iter().filter_map(|record| Some((&**record, record.kept_shape()?)));
    let written = |(record, (head, shape)): (_, (&KeptHead, _))| Some((record, head.kept(shape)?));
    shapes.take(SHAPES_OF_BATCH).filter_map(written).collect()
}
