//! `export`: rows as a download, in CSV or as one JSON object a line, a page of rows at a time.

use super::fault::Fault;
use super::parameters::Parameters;
use super::refused::Refused;
use super::requests;
use crate::store::row::Row;
use crate::store::{Filter, Listed, Reader, read_cursor};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use std::time::Duration;

/// Most rows of one download.
const MOST_ROWS: u32 = 100_000;
const PAGE_ROWS: u32 = 500;
/// How long a client may take no byte.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

/// A download.
pub(super) struct Export {
    reader: Reader,
    filter: Filter,
    format: Format,
}

impl Export {
    /// The rows that a query asks for.
    pub(super) fn new(reader: Reader, parameters: &Parameters) -> Result<Self, Refused> {
        let format = match parameters.get("format") {
            Some("csv") | None => Format::Csv,
            Some("json") => Format::Json,
            Some(_) => return Err(Fault::NotAChoice { name: "format".into(), choices: "csv, json".into() }.into()),
        };
        Ok(Self { reader, filter: requests::filter(parameters)?, format })
    }

    /// Sends them. What goes wrong on the way ends the download in the middle: the client sees that it is not whole.
    ///
    /// # Errors
    /// When the client is gone, or the request log cannot be read.
    pub(super) async fn serve(self, session: &mut ServerSession, request_id: &str) -> pingora::Result<()> {
        let (content_type, name) = match self.format {
            Format::Csv => ("text/csv; charset=utf-8", "requests.csv"),
            Format::Json => ("application/x-ndjson", "requests.jsonl"),
        };
        let mut head = ResponseHeader::build(200, Some(5))?;
        head.insert_header(CONTENT_TYPE, content_type)?;
        head.insert_header(CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))?;
        head.insert_header(CACHE_CONTROL, "no-store")?;
        head.insert_header(TRANSFER_ENCODING, "chunked")?;
        head.insert_header(HeaderName::from_static("x-request-id"), request_id)?;
        session.set_write_timeout(Some(WRITE_TIMEOUT));
        session.write_response_header(Box::new(head)).await?;
        let (mut after, mut left, mut is_first) = (None, MOST_ROWS, true);
        while left > 0 {
            let page = self.reader.page(&self.filter, after, PAGE_ROWS.min(left)).await.map_err(|error| {
                log::warn!("{request_id}: {error}");
                session.set_keepalive(None);
                pingora::Error::explain(pingora::ErrorType::InternalError, "reading the request log")
            })?;
            let text = text(self.format, &page.requests, std::mem::take(&mut is_first));
            session.write_response_body(Bytes::from(text), false).await?;
            left = left.saturating_sub(u32::try_from(page.requests.len()).unwrap_or(u32::MAX));
            match page.next_cursor.as_deref().and_then(read_cursor) {
                Some(cursor) => after = Some(cursor),
                None => break,
            }
        }
        session.write_response_body(Bytes::new(), true).await
    }
}

fn text(format: Format, rows: &[Listed<'_>], with_head: bool) -> String {
    match format {
        Format::Json => rows.iter().filter_map(|row| Some(serde_json::to_string(row).ok()? + "\n")).collect(),
        Format::Csv => csv(rows, with_head),
    }
}

fn csv(rows: &[Listed<'_>], with_head: bool) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let head = with_head.then(|| Row::head().map(str::to_owned).collect::<Vec<_>>());
    let lines = rows.iter().map(|listed| listed.row.cells().map(no_formula).collect());
    for line in head.into_iter().chain(lines) {
        // Writing to memory cannot fail, and all lines are of one length.
        let _ = writer.write_record(&line);
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// What a formula begins with, in some languages in full width
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A text that a spreadsheet would take for a formula begins with an apostrophe.
fn no_formula(cell: String) -> String {
    match cell.starts_with(FORMULA) {
        true => format!("'{cell}"),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::record::RequestRecord;
    use serde_json::Value;

    #[test]
    fn rows_become_lines() {
        let record = RequestRecord { path: "=1+1,\"x\"".to_owned(), ..crate::sample::record() };
        let rows = [Listed::from(&record)];
        let csv = text(Format::Csv, &rows, true);
        let (head, row) = csv.split_once("\r\n").expect("two lines");
        assert!(
            head.starts_with("id,started_at_ms,duration_ms,") && head.contains(",input_tokens,output_tokens,"),
            "{head}"
        );
        assert!(row.contains(",\"'=1+1,\"\"x\"\"\",200,completed,"), "{row}");
        assert_eq!(csv.matches("\r\n").count(), 2);
        assert_eq!(text(Format::Csv, &rows, false).matches("\r\n").count(), 1);
        let json: Value = serde_json::from_str(text(Format::Json, &rows, true).trim_end()).expect("JSON");
        assert_eq!((json["id"].as_str(), json["tokens"].is_null()), (Some("req_1"), true));
    }

    #[test]
    fn no_cell_begins_as_a_formula_does() {
        for text in ["=1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"] {
            assert_eq!(no_formula(text.to_owned()), format!("'{text}"));
        }
        for text in ["", "1", "a=1", "'=1", "模型"] {
            assert_eq!(no_formula(text.to_owned()), text);
        }
    }
}
