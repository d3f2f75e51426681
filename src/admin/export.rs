//! `export`: rows as a download, in CSV or as one JSON object a line, a page of rows at a time.

use super::download::{CSV, Form, csv, disposition};
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

/// What the name of a download tells.
const FILTERS: [&str; 17] = [
    "model",
    "upstream",
    "key",
    "session",
    "outcome",
    "status",
    "cause",
    "path",
    "request_class",
    "agent_type",
    "upstream_key",
    "client",
    "token",
    "user",
    "group",
    "without",
    "q",
];

/// A download.
pub(super) struct Export {
    reader: Reader,
    filter: Filter,
    format: Format,
    form: Form,
    name: String,
}

impl Export {
    /// The rows that a query asks for.
    pub(super) fn new(reader: Reader, parameters: &Parameters) -> Result<Self, Refused> {
        let format = match parameters.get("format") {
            Some("csv") | None => Format::Csv,
            Some("json") => Format::Json,
            Some(_) => return Err(Fault::NotAChoice { name: "format".into(), choices: "csv, json".into() }.into()),
        };
        let (form, filter) = (Form::read(parameters)?, requests::filter(parameters)?);
        let name = form.name("requests", (filter.from, filter.to), parameters, &FILTERS);
        Ok(Self { reader, filter, format, form, name })
    }

    /// Sends them. What goes wrong on the way ends the download in the middle: the client sees that it is not whole.
    ///
    /// # Errors
    /// When the client is gone, or the request log cannot be read.
    pub(super) async fn serve(self, session: &mut ServerSession, request_id: &str) -> pingora::Result<()> {
        let (content_type, ending) = match self.format {
            Format::Csv => (CSV, "csv"),
            Format::Json => ("application/x-ndjson", "jsonl"),
        };
        let mut head = ResponseHeader::build(200, Some(5))?;
        head.insert_header(CONTENT_TYPE, content_type)?;
        head.insert_header(CONTENT_DISPOSITION, disposition(&self.name, ending))?;
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
            let text = text(self.format, &self.form, &page.requests, std::mem::take(&mut is_first));
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

fn text(format: Format, form: &Form, rows: &[Listed<'_>], is_first: bool) -> String {
    match format {
        Format::Json => rows.iter().filter_map(|row| Some(serde_json::to_string(row).ok()? + "\n")).collect(),
        Format::Csv => table(form, rows, is_first),
    }
}

/// Lines of CSV. The time that people read comes last, since programs may count the columns; who asks for a zone is to read
/// it, and finds it beside the other one.
fn table(form: &Form, rows: &[Listed<'_>], is_first: bool) -> String {
    let beside = Row::head().position(|name| name == "started_at_ms").filter(|_| form.has_zone());
    let with = |mut cells: Vec<String>, time: String| {
        cells.insert(beside.map_or(cells.len(), |at| at + 1), time);
        cells
    };
    let head = is_first.then(|| with(Row::head().map(str::to_owned).collect(), "started_at".to_owned()));
    let lines = rows.iter().map(|listed| {
        let time = listed.row.started_ms().map(|millis| form.time(millis)).unwrap_or_default();
        with(listed.row.cells().collect(), time)
    });
    let mark = if is_first { form.begin() } else { "" };
    format!("{mark}{}", csv(head.into_iter().chain(lines)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::record::RequestRecord;
    use serde_json::Value;

    fn form(query: &str) -> Form {
        Form::read(&Parameters::read(query.as_bytes())).expect("a form")
    }

    #[test]
    fn rows_become_lines() {
        let record = RequestRecord { path: "=1+1,\"x\"".to_owned(), ..crate::sample::record() };
        let rows = [Listed::from(&record)];
        let plain = form("");
        let csv = text(Format::Csv, &plain, &rows, true);
        let (head, row) = csv.split_once("\r\n").expect("two lines");
        assert!(
            head.starts_with("id,started_at_ms,duration_ms,") && head.contains(",input_tokens,output_tokens,"),
            "{head}"
        );
        assert!(row.contains(",\"'=1+1,\"\"x\"\"\",200,completed,"), "{row}");
        assert_eq!(csv.matches("\r\n").count(), 2);
        assert_eq!(text(Format::Csv, &plain, &rows, false).matches("\r\n").count(), 1);
        let json: Value =
            serde_json::from_str(text(Format::Json, &form("bom=1"), &rows, true).trim_end()).expect("JSON");
        assert_eq!((json["id"].as_str(), json["tokens"].is_null()), (Some("req_1"), true));
    }

    #[test]
    fn people_read_the_time_beside_its_number_and_programs_find_it_last() {
        let record = crate::sample::record();
        let rows = [Listed::from(&record)];
        let lines = |query: &str, is_first| text(Format::Csv, &form(query), &rows, is_first);
        let plain = lines("", true);
        assert!(plain.starts_with("id,started_at_ms,duration_ms,"), "{plain}");
        assert!(plain.contains(",started_at\r\n") && plain.ends_with(",1970-01-01T00:00:00.000Z\r\n"), "{plain}");
        let read = lines("zone=Asia/Shanghai&bom=1", true);
        assert!(read.starts_with("\u{feff}id,started_at_ms,started_at,duration_ms,"), "{read}");
        assert!(read.contains(",0,1970-01-01T08:00:00.000+08:00,"), "{read}");
        assert!(!lines("bom=1", false).starts_with('\u{feff}'), "only at the beginning");
    }
}
