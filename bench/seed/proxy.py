"""What the gateway replaces: a proxy of a few lines that rewrites the system prompt and streams what comes back."""

import json
import os
import sys

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

listen, origin, replacement = sys.argv[1:]
host, port = listen.rsplit(":", 1)
HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade"}

app = FastAPI()
client = httpx.AsyncClient(base_url=f"http://{origin}", timeout=None, limits=httpx.Limits(max_connections=None))


def kept(headers):
    """Fields that go on to the other side."""
    return [(name, value) for name, value in headers.raw if name.decode("latin-1").lower() not in HOP_BY_HOP]


@app.api_route("/{path:path}", methods=["GET", "POST"])
async def proxy(path: str, request: Request):
    body = await request.body()
    if body and path == "v1/messages":
        document = json.loads(body)
        if document.get("system"):
            document["system"][0]["text"] = replacement
            body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    target = httpx.URL(path=request.url.path, query=request.url.query.encode())
    going = client.build_request(request.method, target, headers=kept(request.headers), content=body)
    answer = await client.send(going, stream=True)
    coming = StreamingResponse(answer.aiter_raw(), status_code=answer.status_code, background=None)
    coming.raw_headers = kept(answer.headers)
    return coming


uvicorn.run(app, host=host, port=int(port), log_level="warning", access_log=False, loop="asyncio", http="h11")
