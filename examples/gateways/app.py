"""An app that knows nothing of log-ins: it shows what reaches it, and echoes WebSockets."""

import base64
import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        if self.headers.get("upgrade", "").lower() == "websocket":
            return self.echo()
        seen = {"method": self.command, "path": self.path, "headers": self.headers.items()}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def echo(self):
        key = self.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode()
        self.send_response(101)
        for name, value in [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-accept", accept)]:
            self.send_header(name, value)
        self.end_headers()
        head = self.rfile.read(2)
        length = head[1] & 127
        mask, masked = self.rfile.read(4), self.rfile.read(length)
        text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
        text = (self.headers.get("remote-user", "") + " said ").encode() + text
        self.wfile.write(bytes([0x81, len(text)]) + text)
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
