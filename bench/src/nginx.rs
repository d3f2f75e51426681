//! The nginx configurations that are measured: as good as nginx can be set up for this work, without tricks.
use crate::bodies::REPLACEMENT;
use std::net::SocketAddr;
use std::path::Path;

/// Which nginx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// As nginx comes: a request body beyond 16 KiB is read into a temporary file first.
    Default,
    /// The request body is read whole, in memory, before it is sent on, as the gateway does it.
    Buffered,
    /// `proxy_request_buffering off`: the body is sent on as it comes.
    Unbuffered,
    /// The body is decoded, its system prompt replaced, encoded again, in Lua.
    Lua,
}

const BODY_IN_MEMORY: &str = "client_body_buffer_size 8m; client_body_in_single_buffer on;";

/// The text of the configuration file; `folder` takes the temporary files.
///
/// One process (`master_process off`), no access log, keep-alive without end on both sides.
pub(crate) fn configuration(
    flavour: Flavour,
    listen: SocketAddr,
    origin: SocketAddr,
    folder: &Path,
    as_root: bool,
) -> String {
    let user = if as_root { "user root;" } else { "" };
    let (modules, rewrite) = match flavour {
        Flavour::Lua => ("include /etc/nginx/modules-enabled/*.conf;", lua()),
        _ => ("", String::new()),
    };
    let buffering = if flavour == Flavour::Unbuffered { "off" } else { "on" };
    let body_buffer = if flavour == Flavour::Default { "" } else { BODY_IN_MEMORY };
    let temp = folder.display();
    format!(
        r#"{user}
{modules}
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {temp}/nginx.pid;
error_log {temp}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {temp}/body;
    proxy_temp_path {temp}/proxy;
    fastcgi_temp_path {temp}/fastcgi;
    uwsgi_temp_path {temp}/uwsgi;
    scgi_temp_path {temp}/scgi;
    keepalive_requests 100000000;
    tcp_nodelay on;
    sendfile on;
    tcp_nopush on;
    client_max_body_size 32m;
    {body_buffer}
    proxy_buffering off;
    proxy_request_buffering {buffering};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    upstream origin {{
        server {origin};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen {listen} backlog=4096;
        location / {{ proxy_pass http://origin; }}
        location = /v1/messages {{
{rewrite}
            proxy_pass http://origin;
        }}
    }}
}}
"#
    )
}

fn lua() -> String {
    format!(
        r#"            access_by_lua_block {{
                local cjson = require "cjson"
                ngx.req.read_body()
                local body = ngx.req.get_body_data()
                if not body then return end
                local document = cjson.decode(body)
                if document.system and document.system[1] then
                    document.system[1].text = "{REPLACEMENT}"
                    ngx.req.set_body_data(cjson.encode(document))
                end
            }}"#
    )
}
